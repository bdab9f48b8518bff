package s3store

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/cubby-storage/cubby/store"
)

// shelf is a small S3 service. It loses answers when told.
type shelf struct {
	mu      sync.Mutex
	objects map[string]shelved
	parts   [][]byte // of its one upload, "u"; nil if there is none
	skew    time.Duration
	plain   bool // keeps no checksums
	eager   bool // looks at the condition before it looks for the upload
	// lose is how often a write is done and its answer lost, and refuse how often
	// it is answered with 500 and not done.
	lose, refuse int
	writes       int
}

type shelved struct {
	content []byte
	etag    string
	mod     time.Time
}

func (s *shelf) now() time.Time { return time.Now().Add(s.skew) }

func (s *shelf) put(key string, content []byte, age time.Duration) {
	s.objects[key] = shelved{content, md5Of(content), s.now().Add(-age)}
}

func md5Of(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

// answer is for serve.
func (s *shelf) answer(w http.ResponseWriter, r *recorded) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
	key := strings.TrimPrefix(r.URL.Path, "/media/")
	q := r.URL.Query()
	_, there := s.objects[key]
	refused := there && r.Header.Get("If-None-Match") == "*"
	switch {
	case r.Method == http.MethodHead:
		s.head(w, r, key)
		return
	case q.Has("uploads"):
		s.parts = [][]byte{}
		fmt.Fprint(w, `<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>`)
		return
	case q.Has("uploadId") && s.parts == nil && !(s.eager && refused):
		refuse(http.StatusNotFound, "NoSuchUpload")(w, r)
		return
	case r.Method == http.MethodGet:
		fmt.Fprint(w, `<ListPartsResult></ListPartsResult>`)
		return
	case r.Method == http.MethodDelete:
		s.parts = nil
		w.WriteHeader(http.StatusNoContent)
		return
	case q.Has("partNumber"):
		s.parts = append(s.parts, r.body)
		w.Header().Set("ETag", md5Of(r.body))
		return
	}
	s.writes++
	if r.err != nil {
		refuse(http.StatusBadRequest, "IncompleteBody")(w, r)
		return
	}
	if s.refuse > 0 {
		s.refuse--
		refuse(http.StatusInternalServerError, "InternalError")(w, r)
		return
	}
	if refused {
		refuse(http.StatusPreconditionFailed, "PreconditionFailed")(w, r)
		return
	}
	s.write(w, r, key)
	if s.lose > 0 {
		s.lose--
		panic(http.ErrAbortHandler)
	}
}

func (s *shelf) head(w http.ResponseWriter, r *recorded, key string) {
	o, ok := s.objects[key]
	if !ok {
		refuse(http.StatusNotFound, "")(w, r)
		return
	}
	w.Header().Set("ETag", `"`+o.etag+`"`)
	w.Header().Set("Last-Modified", o.mod.UTC().Format(http.TimeFormat))
	w.Header().Set("Content-Length", strconv.Itoa(len(o.content)))
	if !s.plain {
		sum := crc32.NewIEEE()
		sum.Write(o.content)
		w.Header().Set("X-Amz-Checksum-Crc32", base64.StdEncoding.EncodeToString(sum.Sum(nil)))
		w.Header().Set("X-Amz-Checksum-Type", "FULL_OBJECT")
	}
}

func (s *shelf) write(w http.ResponseWriter, r *recorded, key string) {
	switch source := r.Header.Get("X-Amz-Copy-Source"); {
	case source != "":
		source, _ = url.PathUnescape(source)
		s.put(key, s.objects[strings.TrimPrefix(source, "media/")].content, 0)
		fmt.Fprintf(w, `<CopyObjectResult><ETag>"%s"</ETag></CopyObjectResult>`, s.objects[key].etag)
	case r.Method == http.MethodPost:
		parts := make([]store.Part, len(s.parts))
		for i, p := range s.parts {
			parts[i] = store.Part{Number: i + 1, ETag: md5Of(p)}
		}
		etag, _ := store.MultipartETag(parts)
		// Services date such an object by the start of its upload.
		s.objects[key] = shelved{bytes.Join(s.parts, nil), etag, s.now().Add(-time.Hour)}
		s.parts = nil
		fmt.Fprintf(w, `<CompleteMultipartUploadResult><ETag>"%s"</ETag></CompleteMultipartUploadResult>`, etag)
	default:
		s.put(key, r.body, 0)
		w.Header().Set("ETag", md5Of(r.body))
	}
}

// TestLostAnswer writes what must not be there yet, in all ways, to a service
// that has it done but does not say so.
func TestLostAnswer(t *testing.T) {
	absent := []string{"*"}
	ways := map[string]struct {
		content []byte
		write   func(b *Bucket) (*store.Info, error)
	}{
		"put": {[]byte("hello"), func(b *Bucket) (*store.Info, error) {
			return b.Put(t.Context(), "k", strings.NewReader("hello"), &store.PutOptions{IfNoneMatch: absent})
		}},
		"put of nothing": {nil, func(b *Bucket) (*store.Info, error) {
			return b.Put(t.Context(), "k", strings.NewReader(""), &store.PutOptions{IfNoneMatch: absent})
		}},
		"put by MD5": {[]byte("hello"), func(b *Bucket) (*store.Info, error) {
			sum := md5.Sum([]byte("hello"))
			return b.Put(t.Context(), "k", strings.NewReader("hello"), &store.PutOptions{IfNoneMatch: absent, MD5: sum[:]})
		}},
		"complete": {[]byte("hello"), func(b *Bucket) (*store.Info, error) {
			u, err := b.CreateUpload(t.Context(), "k", nil)
			if err != nil {
				return nil, err
			}
			p, err := b.PutPart(t.Context(), "k", u.ID, 1, strings.NewReader("hello"), nil)
			if err != nil {
				return nil, err
			}
			return b.CompleteUpload(t.Context(), "k", u.ID, []store.Part{*p}, &store.CompleteOptions{IfNoneMatch: absent})
		}},
		"copy": {[]byte("hello"), func(b *Bucket) (*store.Info, error) {
			return b.Copy(t.Context(), "k", "source", &store.CopyOptions{Put: store.PutOptions{IfNoneMatch: absent}})
		}},
	}
	states := map[string]struct {
		change func(s *shelf, content []byte)
		want   error
	}{
		"own":           {func(s *shelf, _ []byte) { s.lose = 1 }, nil},
		"own, twice":    {func(s *shelf, _ []byte) { s.lose, s.refuse = 1, 1 }, nil},
		"clock is slow": {func(s *shelf, _ []byte) { s.lose, s.skew = 1, -24*time.Hour }, nil},
		"clock is fast": {func(s *shelf, _ []byte) { s.lose, s.skew = 1, 24*time.Hour }, nil},
		"no checksums":  {func(s *shelf, _ []byte) { s.lose, s.plain = 1, true }, nil},
		"eager service": {func(s *shelf, _ []byte) { s.lose, s.eager = 1, true }, nil},
		"not there":     {func(s *shelf, _ []byte) { s.refuse = 2 }, nil},
		"other content": {func(s *shelf, content []byte) {
			s.refuse = 1
			s.put("k", append([]byte("x"), content...), 0)
		}, fs.ErrExist},
		"other content of the size": {func(s *shelf, content []byte) {
			s.refuse = 1
			s.put("k", bytes.ToUpper(append([]byte("x"), content[:max(0, len(content)-1)]...)), 0)
		}, fs.ErrExist},
		"other without checksums": {func(s *shelf, content []byte) {
			s.refuse, s.plain = 1, true
			s.put("k", append([]byte("x"), content[:max(0, len(content)-1)]...), 0)
		}, fs.ErrExist},
		"there before": {func(s *shelf, content []byte) { s.refuse = 1; s.put("k", content, time.Hour) }, fs.ErrExist},
		"one attempt":  {func(s *shelf, content []byte) { s.put("k", content, 0) }, fs.ErrExist},
	}
	for way, put := range ways {
		for state, test := range states {
			t.Run(way+"/"+state, func(t *testing.T) {
				s := &shelf{objects: map[string]shelved{}}
				test.change(s, put.content)
				s.put("source", []byte("hello"), time.Hour)
				_, b := serve(t, s.answer)
				info, err := put.write(b)
				s.mu.Lock()
				defer s.mu.Unlock()
				if !errors.Is(err, test.want) {
					t.Fatalf("error is %v, want %v", err, test.want)
				}
				if err == nil && (info.ETag != s.objects["k"].etag || !bytes.Equal(s.objects["k"].content, put.content)) {
					t.Errorf("info is %+v, the entity tag is %s", info, s.objects["k"].etag)
				}
				if s.lose+s.refuse > 0 {
					t.Error("the service was not asked again")
				}
			})
		}
	}
}

// TestLostAnswerToCopy changes the source after the copy was made.
func TestLostAnswerToCopy(t *testing.T) {
	s := &shelf{objects: map[string]shelved{}, lose: 1}
	s.put("source", []byte("hello"), time.Hour)
	_, b := serve(t, func(w http.ResponseWriter, r *recorded) {
		s.answer(w, r) // does not return where it loses the answer
		s.mu.Lock()
		defer s.mu.Unlock()
		s.put("source", []byte("jello"), 0)
	})
	if _, err := b.Copy(t.Context(), "k", "source", &store.CopyOptions{Put: store.PutOptions{IfNoneMatch: []string{"*"}}}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("error is %v, want fs.ErrExist", err)
	}
}

// TestPutOfChangingFile puts a file that changes between the moment when it was
// measured and that when it is sent.
func TestPutOfChangingFile(t *testing.T) {
	for _, test := range []struct {
		name string
		size int64
		want error
	}{
		{"shorter", 999, store.ErrIncomplete},
		{"empty", 0, store.ErrIncomplete},
		{"longer", 5000, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(name, make([]byte, 1000), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			s := &shelf{objects: map[string]shelved{}}
			_, b := serve(t, s.answer)
			_, err = b.Put(t.Context(), "k", &changing{File: f, size: test.size}, nil)
			s.mu.Lock()
			defer s.mu.Unlock()
			if !errors.Is(err, test.want) {
				t.Errorf("error is %v, want %v", err, test.want)
			}
			if err == nil && len(s.objects["k"].content) != 1000 {
				t.Errorf("stored %d bytes, want 1000", len(s.objects["k"].content))
			}
			if err != nil && s.writes > 1 {
				t.Errorf("sent %d times", s.writes)
			}
		})
	}
}

// changing is a file that is given another size once all of it was read.
type changing struct {
	*os.File
	read int
	size int64
}

func (c *changing) Read(p []byte) (int, error) {
	n, err := c.File.Read(p)
	if c.read += n; c.read == 1000 {
		if err := os.Truncate(c.Name(), c.size); err != nil {
			return n, err
		}
	}
	return n, err
}

// TestAttemptsAllowForClocks asks when a write that began a minute ago can have
// been done, by the clock of the service.
func TestAttemptsAllowForClocks(t *testing.T) {
	for _, skew := range []time.Duration{0, -time.Hour, time.Hour} {
		s := &shelf{objects: map[string]shelved{}, skew: skew}
		_, b := serve(t, s.answer)
		a := &attempts{began: time.Now().Add(-time.Minute)}
		if a.wrote(&store.Info{ModTime: time.Now()}) {
			t.Error("an object was written before any time is known")
		}
		if _, err := b.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &b.name, Key: &b.name}, a.watch); err == nil {
			t.Fatal("there is an object")
		}
		for age, want := range map[time.Duration]bool{0: true, 59 * time.Second: true, 90 * time.Second: false} {
			if got := a.wrote(&store.Info{ModTime: s.now().Add(-age)}); got != want {
				t.Errorf("clock wrong by %v: object of %v ago may be ours: %v, want %v", skew, age, got, want)
			}
		}
	}
}
