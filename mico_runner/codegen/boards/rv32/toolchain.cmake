set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR riscv32)
set(CMAKE_C_COMPILER riscv64-unknown-elf-gcc)
set(CMAKE_ASM_COMPILER riscv64-unknown-elf-gcc)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY) # there is no operating system to link with
set(TARGET "-march=rv32im -misa-spec=2.2 -mabi=ilp32")
set(CMAKE_C_FLAGS_INIT
    "${TARGET} -ffreestanding -fno-tree-loop-distribute-patterns -fno-schedule-insns -ffunction-sections")
set(CMAKE_ASM_FLAGS_INIT ${TARGET})
set(BOARD rv32)
