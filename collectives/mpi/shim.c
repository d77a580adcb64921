//go:build mpi

#include "shim.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#pragma GCC diagnostic ignored "-Wstringop-overflow" // of MPICH's MPI_STATUSES_IGNORE

static MPI_Comm calls, notes;

int gsc_init(int *rank, int *size, int *tags) {
	int e, given, found, *bound;
	if ((e = MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &given))) return e;
	if (given < MPI_THREAD_SERIALIZED) return MPI_ERR_OTHER;
	if ((e = MPI_Comm_dup(MPI_COMM_WORLD, &calls))) return e;
	if ((e = MPI_Comm_dup(MPI_COMM_WORLD, &notes))) return e;
	MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN); // of errors that MPICH ascribes to no other
	MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN);
	MPI_Comm_set_errhandler(calls, MPI_ERRORS_RETURN);
	MPI_Comm_set_errhandler(notes, MPI_ERRORS_RETURN);
	if ((e = MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, &bound, &found))) return e;
	*tags = found ? *bound : 32767;
	if ((e = MPI_Comm_rank(calls, rank))) return e;
	return MPI_Comm_size(calls, size);
}

int gsc_gather(const void *mine, void *all, int bytes) {
	return MPI_Allgather(mine, bytes, MPI_BYTE, all, bytes, MPI_BYTE, calls);
}

int gsc_element(int width, MPI_Datatype *type) {
	switch (width) {
	case 1: *type = MPI_BYTE; return MPI_SUCCESS;
	case 2: *type = MPI_UINT16_T; return MPI_SUCCESS;
	case 4: *type = MPI_UINT32_T; return MPI_SUCCESS;
	case 8: *type = MPI_UINT64_T; return MPI_SUCCESS;
	}
	return MPI_ERR_TYPE;
}

int gsc_rows(int width, int rows, int n, int64_t stride, MPI_Datatype *type) {
	MPI_Datatype element;
	int e;
	if ((e = gsc_element(width, &element))) return e;
	if ((e = MPI_Type_create_hvector(rows, n, (MPI_Aint)(stride * width), element, type))) return e;
	return MPI_Type_commit(type);
}

int gsc_free(MPI_Datatype *type) { return MPI_Type_free(type); }

int gsc_send(uintptr_t at, int count, MPI_Datatype type, int rank, int tag, MPI_Request *request) {
	return MPI_Isend((void *)at, count, type, rank, tag, calls, request);
}

int gsc_receive(uintptr_t at, int count, MPI_Datatype type, int rank, int tag, MPI_Request *request) {
	return MPI_Irecv((void *)at, count, type, rank, tag, calls, request);
}

int gsc_done(int n, MPI_Request *requests, int *done) { return MPI_Testall(n, requests, done, MPI_STATUSES_IGNORE); }

MPI_Request gsc_none(void) { return MPI_REQUEST_NULL; }

int gsc_one_done(const MPI_Request *request, int *done) {
	return MPI_Request_get_status(*request, done, MPI_STATUS_IGNORE);
}

int gsc_note(const void *bytes, int n, int rank, MPI_Request *request) {
	return MPI_Isend(bytes, n, MPI_BYTE, rank, 0, notes, request);
}

int gsc_noted(void *bytes, int room, int *n) {
	MPI_Status status;
	int e, there;
	*n = -1;
	if ((e = MPI_Iprobe(MPI_ANY_SOURCE, 0, notes, &there, &status)) || !there) return e;
	if ((e = MPI_Recv(bytes, room, MPI_BYTE, status.MPI_SOURCE, 0, notes, &status))) return e;
	return MPI_Get_count(&status, MPI_BYTE, n);
}

int gsc_error(int code, char *text, int room) {
	char said[MPI_MAX_ERROR_STRING + 1];
	int n, e = MPI_Error_string(code, said, &n);
	if (!e) snprintf(text, room, "%.*s", n, said);
	return e;
}

int gsc_abort(void) { return MPI_Abort(MPI_COMM_WORLD, 1); }

int gsc_finalize(void) { return MPI_Finalize(); }

void gsc_yield(void) { sched_yield(); }
