/* Start of a bare-metal RV32 program: stack, traps, zeroed .bss, main. */
    .section .text.start
    .globl _start
_start:
    la sp, __stack_top
    la t0, trap
    csrw mtvec, t0
#ifdef MICO_DOT_UNIT
    li t0, 0x80000000 /* VexRiscv: without this bit an instruction of a custom function unit traps */
    csrs 0xbc0, t0
#endif
    la t0, __bss_start
    la t1, __bss_end
1:  bgeu t0, t1, 2f
    sw zero, 0(t0)
    addi t0, t0, 4
    j 1b
2:  call main
end:
    li t0, 0xf0000004 /* EXIT */
    sw a0, 0(t0)
3:  j 3b

#ifdef MICO_IBEX
    .align 8 /* Ibex's mtvec holds no lower bits */
#else
    .align 2
#endif
trap: /* ends the simulation with 0x1000 + mcause: 0x1002 illegal instruction, 0x1005 load fault */
    csrr a0, mcause
    li t0, 0x1000
    or a0, a0, t0
    j end
