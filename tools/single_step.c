/* single_step REPORT PROGRAM ARGUMENTS...: runs the program and counts its instructions between two SIGUSR1 that it sends itself.
 *
 * One line a count goes to REPORT. Every instruction of the program's first thread in user mode is one trap (ptrace), so a count
 * does not depend on the load of the machine, on its clock or on permission to use its counters. Addresses are not randomised. */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static int fail(const char *what) {
    perror(what);
    return 2;
}

/* A repeated string instruction traps once a turn and stays where it is; it is one instruction all the same. */
static int has_moved(pid_t child) {
#ifdef __x86_64__
    static long last;
    errno = 0;
    const long now = ptrace(PTRACE_PEEKUSER, child, offsetof(struct user_regs_struct, rip), NULL);
    if (errno == 0 && now == last) return 0;
    last = now;
#endif
    (void)child;
    return 1;
}

int main(int argc, char **argv) {
    if (argc < 3) return fputs("usage: single_step REPORT PROGRAM ARGUMENTS...\n", stderr), 2;
    FILE *report = fopen(argv[1], "w");
    if (!report) return fail(argv[1]);
    const pid_t child = fork();
    if (child < 0) return fail("fork");
    if (child == 0) {
        personality(ADDR_NO_RANDOMIZE);
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL)) _exit(fail("ptrace"));
        execvp(argv[2], argv + 2);
        _exit(fail(argv[2]));
    }
    int status, counting = 0;
    long long count = 0;
    if (waitpid(child, &status, 0) < 0) return fail("waitpid");
    while (!WIFEXITED(status) && !WIFSIGNALED(status)) {
        const int signal = WIFSTOPPED(status) ? WSTOPSIG(status) : 0;
        if (signal == SIGUSR1) {
            if (counting) fprintf(report, "%lld\n", count);
            counting = !counting;
            count = 0;
        }
        count += counting && signal == SIGTRAP && has_moved(child);
        const long pass_on = signal == SIGUSR1 || signal == SIGTRAP ? 0 : signal;
        if (ptrace(counting ? PTRACE_SINGLESTEP : PTRACE_CONT, child, NULL, pass_on)) return fail("ptrace");
        if (waitpid(child, &status, 0) < 0) return fail("waitpid");
    }
    if (fclose(report)) return fail(argv[1]);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}
