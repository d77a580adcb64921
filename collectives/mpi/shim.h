// What of MPI is made of macros, or would be told apart by kinds of MPI, in plain functions. Each gives an error code of MPI.

#include <mpi.h>
#include <stdint.h>

int gsc_init(int *rank, int *size, int *tags);
int gsc_gather(const void *mine, void *all, int bytes); // from all to all, when no other call is under way

// Types of elements of 1, 2, 4 or 8 bytes: rows runs of n of them, stride elements apart.
int gsc_element(int width, MPI_Datatype *type);
int gsc_rows(int width, int rows, int n, int64_t stride, MPI_Datatype *type);
int gsc_free(MPI_Datatype *type);

// Messages of the ranks' calls.
int gsc_send(uintptr_t at, int count, MPI_Datatype type, int rank, int tag, MPI_Request *request);
int gsc_receive(uintptr_t at, int count, MPI_Datatype type, int rank, int tag, MPI_Request *request);
int gsc_done(int n, MPI_Request *requests, int *done);      // whether all are
MPI_Request gsc_none(void);
int gsc_one_done(const MPI_Request *request, int *done);    // leaves it as it is

// Notes between the ranks, about the job.
int gsc_note(const void *bytes, int n, int rank, MPI_Request *request);
int gsc_noted(void *bytes, int room, int *n); // n: of a note that came; -1: none

int gsc_error(int code, char *text, int room);
void gsc_yield(void); // the processor, to other processes
int gsc_abort(void);
int gsc_finalize(void);
