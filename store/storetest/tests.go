package storetest

import "github.com/cubby-storage/cubby/store"

// bucketTests are the tests of Run, in the order in which they help best.
var bucketTests = []bucketTest{
	{"RoundTrip", testRoundTrip},
	{"Overwrite", testOverwrite},
	{"Missing", testMissing},
	{"Keys", testKeys},
	{"DotKeys", testDotKeys},
	{"BadKeys", testBadKeys},
	{"Sizes", testSizes},
	{"Ranges", testRanges},
	{"PartOfWhole", testPartOfWhole},
	{"WriterTo", testWriterTo},
	{"ReadConditions", testReadConditions},

	{"MD5", testMD5},
	{"Checksums", testChecksums},
	{"Trailer", testTrailer},
	{"AnnouncedSize", testAnnouncedSize},
	{"Readers", testReaders},
	{"FailingReader", testFailingReader},
	{"MetadataLimits", testMetadataLimits},
	{"Cancelled", testCancelled},
	{"CancelledMidway", testCancelledMidway},

	{"PutConditions", testPutConditions},
	{"LatePutConditions", testLatePutConditions},
	{"WriteRace", testWriteRace},
	{"Counter", testCounter},
	{"Delete", testDelete},
	{"DeleteConditions", testDeleteConditions},
	{"DeleteMany", testDeleteMany},
	{"Tags", testTags},
	{"Copy", testCopy},
	{"CopyReplace", testCopyReplace},
	{"CopyConditions", testCopyConditions},
	{"CopyChecksums", testCopyChecksums},

	{"List", testList},
	{"ListPages", testListPages},
	{"ListRanges", testListRanges},
	{"ListFull", testListFull},

	{"Multipart", testMultipart},
	{"SmallUploads", testSmallUploads},
	{"CompleteErrors", testCompleteErrors},
	{"CompleteConditions", testCompleteConditions},
	{"CompleteRace", testCompleteRace},
	{"Abort", testAbort},
	{"WrongUpload", testWrongUpload},
	{"PartContent", testPartContent},
	{"MultipartChecksums", testMultipartChecksums},
	{"CopyPart", testCopyPart},
	{"ListParts", testListParts},
	{"ListUploads", testListUploads},
	{"Owners", testOwners},

	{"Unversioned", withVersions(unversioned(testUnversioned))},
	{"Versions", withVersions(unversioned(testVersions))},
	{"DeleteMarkers", withVersions(testDeleteMarkers)},
	{"Suspended", withVersions(testSuspended)},
	{"VersionConditions", withVersions(testVersionConditions)},
	{"VersionTags", withVersions(testVersionTags)},
	{"VersionCopies", withVersions(testVersionCopies)},
	{"ListVersions", withVersions(testListVersions)},
	{"VersionPaging", withVersions(testVersionPaging)},
	{"DeleteManyVersions", withVersions(testDeleteManyVersions)},
	{"RandomVersions", withVersions(testRandomVersions)},
	{"SSE", testSSE},
	{"SSEKeys", testSSEKeys},
	{"SSECopy", testSSECopy},
	{"SSEMultipart", testSSEMultipart},

	{"OpenReader", testOpenReader},
	{"Concurrent", testConcurrent},
	{"ConcurrentKeys", testConcurrentKeys},
	{"Unsupported", testUnsupported},
}

// withVersions leaves a test out for drivers that keep no versions.
func withVersions(test func(e *env)) func(e *env) {
	return func(e *env) {
		if !e.opts.NoVersions {
			test(e)
		}
	}
}

// unversioned leaves a test out for buckets that keep versions from the start.
func unversioned(test func(e *env)) func(e *env) {
	return func(e *env) {
		if v, err := e.b.Versioning(e.Context()); err != nil || v == store.Unversioned {
			test(e)
		}
	}
}
