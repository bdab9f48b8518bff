package diskstore

import (
	"encoding/binary"
	"encoding/hex"
	"path/filepath"
	"strconv"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cubby-storage/cubby/store"
)

// # Layout
//
// The directory of a store holds
//
//	index/           the Pebble database with the rows below
//	log/             segments of the log, and while the store is closed where it ends
//	blobs/0 to f/    one file for each content that is too large for the log
//	tmp/             files that are being written, where they need a name
//	clean            there when the store was closed with nothing to be swept
//
// A blob is content that never changes. Its id is 16 bytes: the time it was made
// and a random number. The name of its file is the id in hexadecimal, never a
// key, and its last digit is that of the directory. Ids ascend with the time, so that
// the rows of contents are written in the order in which they lie in the index,
// and compactions move them instead of writing them anew.
//
// The first byte of a row's key is its space. BUCKET and UPLOAD are ids of 8 and
// 24 bytes, ID is that of a blob, | only separates.
//
//	! "format"                  version of this layout, the first row written
//	! "log"                     checkpoint: up to where the log is in the index
//	b NAME                      bucket: its id and when it was made
//	c ID                        inline content of format 1: its bytes and nothing else
//	l ID                        logged content: where it is in the log
//	m ID                        manifest: the extents of the parts of an object
//	n BUCKET|KEY                which of the older versions is the null version
//	o BUCKET|KEY                current object: all but its content
//	p UPLOAD|NUMBER             part of an upload: its description and extents
//	r ID                        how many rows refer to a blob
//	t BUCKET|ESCAPED KEY|INVERTED VERSION
//	                            object in the trash, which went there at the time of the id
//	u BUCKET|ESCAPED KEY|UPLOAD upload that is neither complete nor aborted
//	v BUCKET|ESCAPED KEY|INVERTED VERSION
//	                            older version, or delete marker
//	w BUCKET|ESCAPED OWNER|ESCAPED KEY|UPLOAD
//	                            what a list shows of an upload that has an owner
//
// The contents of an object whose row has an envelope are sealed, as package crypt does
// it; so are those of an upload's parts. Sizes and extents are those of the plain content.
//
// Reserved are e (outbox of events: sequence) and s (usage: BUCKET). Numbers in keys are big
// endian. An escaped key has 00 ff for every 00 and ends with 00 01, which keeps
// the order of keys and makes none a prefix of another.
//
// The latest version of a key is its current object, unless it is a delete marker:
// then it is the first of the key in v, and there is no row in o. Where a bucket
// never kept versions, v and n have nothing of it.
//
// A file always has a row in r; a file without one is what a crash left over. An
// inline or logged content or a manifest without one is referred to once. The content
// of a manifest is counted once for each extent of it, however often the manifest is
// referred to.
//
// Format 1 had no log, and small contents in the rows c. They stay where they are.
const formatVersion = 2

// The spaces of the index.
const (
	spaceFormat   = '!'
	spaceBucket   = 'b'
	spaceContent  = 'c'
	spaceLocation = 'l'
	spaceManifest = 'm'
	spaceNull     = 'n'
	spaceObject   = 'o'
	spacePart     = 'p'
	spaceRefs     = 'r'
	spaceTrash    = 't'
	spaceUpload   = 'u'
	spaceVersion  = 'v'
	spaceOwner    = 'w'
)

var (
	formatKey = []byte{spaceFormat, 'f', 'o', 'r', 'm', 'a', 't'}
	logKey    = []byte{spaceFormat, 'l', 'o', 'g'}
)

const (
	bucketIDSize = 8
	uploadIDSize = 24
	shards       = 16
)

type (
	bucketID [bucketIDSize]byte
	uploadID [uploadIDSize]byte
	blobID   [16]byte
)

// shard is the number of the directory of the file of a blob.
func (id blobID) shard() int { return int(id[len(id)-1] % shards) }

// setShard makes a fresh id one of a file in that directory.
func (id *blobID) setShard(n int) {
	last := &id[len(id)-1]
	*last = *last&^(shards-1) | byte(n%shards)
}

func (id blobID) String() string { return hex.EncodeToString(id[:]) }

func (id uploadID) String() string { return hex.EncodeToString(id[:]) }

// parseBlobID reads the name of a file.
func parseBlobID(name string) (id blobID, ok bool) {
	if len(name) != hex.EncodedLen(len(id)) {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(name))
	return id, err == nil && id.String() == name
}

// parseUploadID reads an id as store.NewUploadID writes it.
func parseUploadID(s string) (id uploadID, ok bool) {
	if len(s) != hex.EncodedLen(len(id)) {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(s))
	return id, err == nil && id.String() == s
}

func (s *Store) shardDir(n int) string {
	return filepath.Join(s.dir, "blobs", strconv.FormatInt(int64(n), shards))
}

func (s *Store) path(id blobID) string { return filepath.Join(s.shardDir(id.shard()), id.String()) }

func (s *Store) cleanFile() string { return filepath.Join(s.dir, "clean") }

func (s *Store) logDir() string { return filepath.Join(s.dir, "log") }

func (s *Store) tmpDir() string { return filepath.Join(s.dir, "tmp") }

func bucketKey(name string) []byte { return append([]byte{spaceBucket}, name...) }

func blobKey(space byte, id blobID) []byte {
	return append(append(make([]byte, 0, 1+len(id)), space), id[:]...)
}

// objectKey returns the key of the row of an object, and with an empty key the
// start of those of a bucket.
func objectKey(b bucketID, key string) []byte {
	row := make([]byte, 0, 1+bucketIDSize+len(key))
	row = append(row, spaceObject)
	row = append(row, b[:]...)
	return append(row, key...)
}

// uploadPrefix returns the start of the keys of the rows of uploads.
func uploadPrefix(b bucketID) []byte {
	row := make([]byte, 0, 1+bucketIDSize+64+uploadIDSize)
	row = append(row, spaceUpload)
	return append(row, b[:]...)
}

// ownerPrefix returns the start of the keys of the rows for the lists of an owner,
// which go on as those of uploads do.
func ownerPrefix(b bucketID, owner string) []byte {
	row := uploadPrefix(b)
	row[0] = spaceOwner
	return append(appendEscaped(row, owner), 0, 1)
}

// appendUpload ends the key of the row of an upload.
func appendUpload(prefix []byte, key string, id uploadID) []byte {
	row := append(appendEscaped(prefix, key), 0, 1)
	return append(row, id[:]...)
}

func uploadKey(b bucketID, key string, id uploadID) []byte {
	return appendUpload(uploadPrefix(b), key, id)
}

func ownerKey(b bucketID, owner, key string, id uploadID) []byte {
	return appendUpload(ownerPrefix(b, owner), key, id)
}

// splitUpload is the reverse of appendUpload, without the prefix.
func splitUpload(row []byte) (key string, id uploadID, ok bool) {
	n := len(row) - uploadIDSize - 2
	if n < 0 || row[n] != 0 || row[n+1] != 1 {
		return "", id, false
	}
	copy(id[:], row[n+2:])
	key, ok = unescape(row[:n])
	return key, id, ok
}

func partPrefix(id uploadID) []byte {
	return append(append(make([]byte, 0, 1+uploadIDSize+2), spacePart), id[:]...)
}

func partKey(id uploadID, n int) []byte {
	return binary.BigEndian.AppendUint16(partPrefix(id), uint16(n))
}

func appendEscaped(row []byte, key string) []byte {
	for i := range len(key) {
		row = append(row, key[i])
		if key[i] == 0 {
			row = append(row, 0xff)
		}
	}
	return row
}

// unescape is the reverse of appendEscaped.
func unescape(row []byte) (string, bool) {
	key := make([]byte, 0, len(row))
	for i := 0; i < len(row); i++ {
		key = append(key, row[i])
		if row[i] == 0 {
			if i++; i == len(row) || row[i] != 0xff {
				return "", false
			}
		}
	}
	return string(key), true
}

// within are the options of an iterator over the rows whose keys start with prefix.
func within(prefix []byte) *pebble.IterOptions {
	o := &pebble.IterOptions{LowerBound: prefix}
	if end, ok := store.PrefixEnd(string(prefix)); ok {
		o.UpperBound = []byte(end)
	}
	return o
}

// spans are the spaces whose rows are in tables of their own, in order: away from the
// rows that lists walk over, and in the order in which they are written.
var spans = [...]byte{spaceContent, spaceLocation}

func span(start []byte) (pebble.SpanPolicy, []byte, error) {
	for _, space := range spans {
		if start[0] < space {
			return pebble.SpanPolicy{}, []byte{space}, nil
		}
		if start[0] == space {
			return pebble.SpanPolicy{}, []byte{space + 1}, nil
		}
	}
	return pebble.SpanPolicy{}, nil, nil
}
