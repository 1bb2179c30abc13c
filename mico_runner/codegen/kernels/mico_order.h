/* Kernels scheduled by hand ask two things of the compiler: an order of instructions, and words that lie over bytes. */
#ifndef MICO_ORDER_H
#define MICO_ORDER_H

#include "mico.h"

/* Keeps a value in a register and the code before it before the code after it. Compilers undo the order that keeps an in-order core
 * from waiting for its multiplier and its shifter, and run out of registers doing so. */
#ifdef __riscv_mul
#define MICO_ORDER(value) __asm__ volatile("" : "+r"(value))
#define MICO_ADD(sum, value) __asm__ volatile("add %0, %0, %1" : "+r"(sum) : "r"(value))
#define MICO_MULTIPLY(product, value) __asm__ volatile("mul %0, %0, %1" : "+r"(product) : "r"(value))
#else
#define MICO_ORDER(value) ((void)0)
#define MICO_ADD(sum, value) ((sum) += (value))
#define MICO_MULTIPLY(product, value) ((product) *= (value))
#endif

/* Words and half words of bytes. */
typedef uint32_t __attribute__((may_alias)) mico_word;
typedef uint16_t __attribute__((may_alias)) mico_half;

#endif
