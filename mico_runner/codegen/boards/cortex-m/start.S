/* Start of a program on a Cortex-M: vectors, .data, zeroed .bss, main, exit by semihosting. */
    .syntax unified
    .thumb

    .section .vectors, "a"
    .word stack_top, reset
    .word fault, fault, fault, fault, fault, fault, 0, 0, 0, fault, fault, 0, fault, fault

    .text
    .thumb_func
    .globl reset
reset:
#ifdef __ARM_FEATURE_MVE /* vector registers are switched on: CPACR, coprocessors 10 and 11 */
    ldr r0, =0xe000ed88
    ldr r1, [r0]
    orr r1, r1, #0xf00000
    str r1, [r0]
    dsb
    isb
#endif
    ldr r0, =data_start
    ldr r1, =data_end
    ldr r2, =data_image
1:  cmp r0, r1
    bhs 2f
    ldr r3, [r2], #4
    str r3, [r0], #4
    b 1b
2:  ldr r0, =bss_start
    ldr r1, =bss_end
    movs r3, #0
3:  cmp r0, r1
    bhs 4f
    str r3, [r0], #4
    b 3b
4:  ldr r0, =stack_bottom /* filled with a pattern, so that its use can be seen */
    ldr r3, =0x5a5a5a5a
    mov r1, sp
5:  cmp r0, r1
    bhs 6f
    str r3, [r0], #4
    b 5b
6:  bl main
exit: /* SYS_EXIT_EXTENDED: reason ADP_Stopped_ApplicationExit, code */
    ldr r2, =0x20026
    push {r0, r1}
    str r2, [sp]
    str r0, [sp, #4]
    movs r0, #0x20
    mov r1, sp
    bkpt 0xab
7:  b 7b

    .thumb_func
fault: /* number of the exception; the address that was running is on the stack */
    mrs r0, ipsr
    ldr r1, [sp, #24]
    ldr r2, =stack_top
    mov sp, r2
    bl trapped
    movs r0, #1
    b exit
