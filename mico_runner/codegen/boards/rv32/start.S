/* Start of a program on QEMU's RISC-V machine "virt": stack, traps, zeroed .bss, main, exit. */
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
2:  la t0, stack_bottom /* filled with a pattern, so that its use can be seen */
    li t1, 0x5a5a5a5a
3:  bgeu t0, sp, 4f
    sw t1, 0(t0)
    addi t0, t0, 4
    j 3b
4:  call main
exit: /* the machine's test device: 0x5555 is success, else the code above 0x3333 */
    li t0, 0x100000
    li t1, 0x5555
    beqz a0, 5f
    slli a0, a0, 16
    li t1, 0x3333
    or t1, t1, a0
5:  sw t1, 0(t0)
6:  j 6b

    .align 2
trap:
    la sp, stack_top
    csrr a0, mcause
    csrr a1, mepc
    call trapped
    li a0, 1
    j exit
