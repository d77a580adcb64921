// Package source finds the files of a data set and reads the records they hold.
//
// [Resolve] turns the globs of a [plan.Data] into a list of [File], each with its
// split; [Scan] reads them once, in order, gives what they hold to a [Sink] and
// fills in their digests. Both collect a user's mistakes as [Errors], as many at once as can be told.
//
// The formats, by what is a record:
//
//	text    a file; any bytes
//	jsonl   a line, a JSON object; blank lines are skipped
//	tokens  a file of little-endian uint16 or uint32 token ids
//	conll   a sentence: a word a line, its columns split at tabs (at white space
//	        where a line has no tab); a blank line ends it
//
// A record is handed on piece by piece, so that no file needs to fit in memory.
package source
