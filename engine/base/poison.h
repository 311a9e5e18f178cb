/*
 * poison.h - the last include of every engine .c file: names that have no place outside the POSIX
 * environment become errors, so that each call goes through the seams that tests can take over.
 */
#ifndef LORE_BASE_POISON_H
#define LORE_BASE_POISON_H

#ifndef LORE_MAY_CALL_THE_SYSTEM
#pragma GCC poison malloc calloc realloc free strdup strndup asprintf vasprintf
#pragma GCC poison open openat creat pread pwrite read write fsync fdatasync ftruncate unlink rename
#pragma GCC poison mkdir rmdir opendir readdir fopen fprintf printf puts mmap
#pragma GCC poison time gettimeofday clock_gettime nanosleep usleep rand random getrandom getenv
#pragma GCC poison pthread_create pthread_mutex_lock pthread_cond_wait abort exit
#pragma GCC poison strcpy strcat sprintf strncpy atoi atol
#endif

#endif
