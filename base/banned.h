/* Calls that have no place in this tree; each has a safer neighbour in base/. */
#ifndef WHERRY_BASE_BANNED_H
#define WHERRY_BASE_BANNED_H

/* Standard headers that declare these names must come before the poison takes effect. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#undef alloca /* glibc defines it as a macro; poisoning one is a warning */
#pragma GCC poison strcpy strcat sprintf vsprintf strtok atoi atol atoll system popen alloca lockf

#endif
