set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_ASM_COMPILER arm-none-eabi-gcc)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY) # there is no operating system to link with
set(TARGET "-mcpu=cortex-m4 -mthumb")
set(CMAKE_C_FLAGS_INIT "${TARGET} -ffreestanding -fno-tree-loop-distribute-patterns -ffunction-sections")
set(CMAKE_ASM_FLAGS_INIT ${TARGET})
set(BOARD cortex-m4)
