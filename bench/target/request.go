package target

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Do sends a request and reads the answer to its end; the result is its length.
// What follows the "?" of path must be as Signature V4 wants it, sorted and
// encoded. A status that is not 2xx is an error. To a server of files, PUT writes
// the file.
func (s *Server) Do(method, path string, body []byte) (int64, error) {
	if s.Plain != "" && method == http.MethodPut {
		name := filepath.Join(s.Plain, path)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return 0, err
		}
		return 0, os.WriteFile(name, body, 0o644)
	}
	r, err := http.NewRequest(method, "http://"+s.Addr+path, nil)
	if err != nil {
		return 0, err
	}
	if body != nil {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	return s.send(r)
}

// Send is Do for a body that is read from r, which has size bytes.
func (s *Server) Send(method, path string, body io.Reader, size int64) (int64, error) {
	r, err := http.NewRequest(method, "http://"+s.Addr+path, body)
	if err != nil {
		return 0, err
	}
	r.ContentLength = size
	return s.send(r)
}

var buffers = sync.Pool{New: func() any { return new([128 << 10]byte) }}

func (s *Server) send(r *http.Request) (int64, error) {
	if s.Plain == "" {
		s.keys.sign(r, time.Now().UTC())
	}
	res, err := s.client.Do(r)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 300))
		return 0, fmt.Errorf("%s %s %s: %s: %s", s.Name, r.Method, r.URL.Path, res.Status, text)
	}
	b := buffers.Get().(*[128 << 10]byte)
	defer buffers.Put(b)
	// The discard has a ReadFrom with a small buffer, which would be taken.
	return io.CopyBuffer(struct{ io.Writer }{io.Discard}, res.Body, b[:])
}

const (
	region  = "us-east-1"
	payload = "UNSIGNED-PAYLOAD"
)

// sign signs r with Signature V4. The content is not signed, so that the client,
// which shares the machine with the server, does not hash it.
func (k *keys) sign(r *http.Request, now time.Time) {
	stamp := now.Format("20060102T150405Z")
	scope := stamp[:8] + "/" + region + "/s3/aws4_request"
	names := "host;x-amz-content-sha256;x-amz-date"
	var c strings.Builder // the canonical request
	c.WriteString(r.Method + "\n" + r.URL.EscapedPath() + "\n" + r.URL.RawQuery + "\nhost:" + r.URL.Host +
		"\nx-amz-content-sha256:" + payload + "\nx-amz-date:" + stamp + "\n")
	if k.token != "" {
		names += ";x-amz-security-token"
		c.WriteString("x-amz-security-token:" + k.token + "\n")
		r.Header["X-Amz-Security-Token"] = []string{k.token}
	}
	c.WriteString("\n" + names + "\n" + payload)
	sum := sha256.Sum256([]byte(c.String()))
	key := []byte("AWS4" + k.secret)
	for _, step := range []string{stamp[:8], region, "s3", "aws4_request", "AWS4-HMAC-SHA256\n" + stamp + "\n" + scope + "\n" + hex.EncodeToString(sum[:])} {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(step))
		key = m.Sum(nil)
	}
	r.Header["X-Amz-Date"] = []string{stamp}
	r.Header["X-Amz-Content-Sha256"] = []string{payload}
	r.Header["Authorization"] = []string{
		"AWS4-HMAC-SHA256 Credential=" + k.access + "/" + scope + ", SignedHeaders=" + names + ", Signature=" + hex.EncodeToString(key),
	}
}
