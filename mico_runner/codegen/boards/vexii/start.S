/* Start of a program for VexiiRiscv's test bench, which ends at `pass` or `fail`: stack, traps, zeroed .bss, main, a line about cycles.
 * QEMU's machine "virt" runs it as well: what follows `pass` and `fail` ends that. */
    .section .text.start
    .globl _start
_start:
    la sp, stack_top
    la t0, trap
    csrw mtvec, t0
    la t0, bss_start
    la t1, bss_end
1:  bgeu t0, t1, 2f
    sw zero, 0(t0)
    addi t0, t0, 4
    j 1b
2:  call main
    mv s0, a0
    call board_report
    bnez s0, fail

    .globl pass
pass:
    li t1, 0x5555 /* of the test device of "virt": success */
    j end

    .globl fail
fail:
    li t1, 0x13333 /* failure, code 1 */
end:
    li t0, 0x100000
    sw t1, 0(t0)
1:  j 1b

    .globl board_cycle
board_cycle: /* 0 of a core that does not count its cycles */
    li a0, 0
counter:
    csrr a0, mcycle
    ret

    .align 2
trap:
    csrr t0, mepc
    la t1, counter
    bne t0, t1, fail
    addi t0, t0, 4
    csrw mepc, t0
    mret
