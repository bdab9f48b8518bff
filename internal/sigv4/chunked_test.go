package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

// chunker signs and encodes a body as a client does. It shares no code with
// the reader.
type chunker struct {
	key      []byte
	iso      string
	scope    string
	previous string
	signed   bool
	b        strings.Builder
}

func hmacOf(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	io.WriteString(h, text)
	return h.Sum(nil)
}

func newChunker(r *http.Request) *chunker {
	auth := r.Header.Get("Authorization")
	_, rest, _ := strings.Cut(auth, testID+"/")
	scope, rest, _ := strings.Cut(rest, ",")
	_, signature, _ := strings.Cut(rest, "Signature=")
	key := []byte("AWS4" + testSecret)
	for part := range strings.SplitSeq(scope, "/") {
		key = hmacOf(key, part)
	}
	return &chunker{
		key: key, iso: r.Header.Get("X-Amz-Date"), scope: scope, previous: signature,
		signed: strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-AWS4"),
	}
}

func (c *chunker) chunk(data string) {
	fmt.Fprintf(&c.b, "%x", len(data))
	if c.signed {
		text := "AWS4-HMAC-SHA256-PAYLOAD\n" + c.iso + "\n" + c.scope + "\n" + c.previous + "\n" + emptyHash + "\n" + hashOf(data)
		c.previous = hex.EncodeToString(hmacOf(c.key, text))
		c.b.WriteString(";chunk-signature=" + c.previous)
	}
	c.b.WriteString("\r\n" + data)
	if data != "" {
		c.b.WriteString("\r\n")
	}
}

func (c *chunker) trailer(lines ...string) {
	text := ""
	for _, line := range lines {
		c.b.WriteString(line + "\r\n")
		text += line + "\n"
	}
	if c.signed {
		text = "AWS4-HMAC-SHA256-TRAILER\n" + c.iso + "\n" + c.scope + "\n" + c.previous + "\n" + hashOf(text)
		c.b.WriteString("x-amz-trailer-signature:" + hex.EncodeToString(hmacOf(c.key, text)) + "\r\n")
	}
	c.b.WriteString("\r\n")
}

// chunkedRequest returns a signed request for a body that is still to come.
func chunkedRequest(t testing.TB, payload string, size int, trailers string) *http.Request {
	t.Helper()
	header := http.Header{"X-Amz-Decoded-Content-Length": {strconv.Itoa(size)}, "Content-Encoding": {"aws-chunked"}}
	if trailers != "" {
		header["X-Amz-Trailer"] = strings.Split(trailers, " ")
	}
	r := signed(t, "PUT", "http://localhost:20005/b/key", "", payload, "eu-north-1", header)
	r.ContentLength = -1
	return r
}

// with returns r as received with the body.
func with(r *http.Request, body io.Reader) *http.Request {
	r.Body = io.NopCloser(body)
	return r
}

const crcLine = "x-amz-checksum-crc32:AAAAAA=="

// encode returns a request in the payload mode with content in chunks of n bytes.
func encode(t testing.TB, payload, content string, n int) (*http.Request, string) {
	t.Helper()
	trailers := ""
	if strings.HasSuffix(payload, "-TRAILER") {
		trailers = "x-amz-checksum-crc32"
	}
	r := chunkedRequest(t, payload, len(content), trailers)
	c := newChunker(r)
	for rest := content; rest != ""; {
		m := min(n, len(rest))
		c.chunk(rest[:m])
		rest = rest[m:]
	}
	c.chunk("")
	if trailers == "" {
		c.b.WriteString("\r\n")
	} else {
		c.trailer(crcLine)
	}
	return r, c.b.String()
}

var streamingModes = []string{streamingPayload, streamingSignedTrailer, streamingTrailer}

func TestChunked(t *testing.T) {
	readers := map[string]func(io.Reader) io.Reader{
		"plain": func(r io.Reader) io.Reader { return r }, "one byte": iotest.OneByteReader,
		"half": iotest.HalfReader, "data and error": iotest.DataErrReader,
	}
	for _, payload := range streamingModes {
		for _, size := range []int{0, 1, 10, 3000, 70000} {
			for _, chunk := range []int{7, 1024, 65536} {
				if size/chunk > 1000 {
					continue
				}
				content := strings.Repeat("0123456789", size/10+1)[:size]
				r, body := encode(t, payload, content, chunk)
				for name, reader := range readers {
					req, err := verifier(testTime).Verify(with(r, reader(strings.NewReader(body))))
					if err != nil {
						t.Fatal(err)
					}
					if req.Trailer != nil {
						if _, err := req.Trailer(); err == nil {
							t.Error("there is a trailer before the end")
						}
					}
					if err := iotest.TestReader(req.Body, []byte(content)); err != nil {
						t.Fatalf("%s, %d bytes in chunks of %d, %s: %v", payload, size, chunk, name, err)
					}
					if req.Size != int64(size) {
						t.Errorf("size %d, want %d", req.Size, size)
					}
					if (req.Trailer != nil) != strings.HasSuffix(payload, "TRAILER") {
						t.Error("trailer in the wrong mode")
					}
					if req.Trailer != nil {
						h, err := req.Trailer()
						if err != nil || len(h) != 1 || h.Get("X-Amz-Checksum-Crc32") != "AAAAAA==" {
							t.Errorf("trailer %v, %v", h, err)
						}
					}
				}
			}
		}
	}
}

const docStreaming = "PUT /examplebucket/chunkObject.txt HTTP/1.1\nHost: s3.amazonaws.com\nx-amz-date: 20130524T000000Z\n" +
	"x-amz-storage-class: REDUCED_REDUNDANCY\nContent-Encoding: aws-chunked\nx-amz-decoded-content-length: 66560\n"

// The streaming examples in the documentation of S3.
func TestPublishedChunked(t *testing.T) {
	const a = "a"
	for _, test := range []struct{ name, request, body string }{
		{
			"signed chunks", docStreaming + "Content-Length: 66824\nx-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\n" + docAuth +
				"content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class," +
				"Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9\n\n",
			"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" + strings.Repeat(a, 65536) + "\r\n" +
				"400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" + strings.Repeat(a, 1024) + "\r\n" +
				"0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n",
		},
		{
			"signed trailer", docStreaming + "x-amz-trailer: x-amz-checksum-crc32c\nTransfer-Encoding: chunked\n" +
				"x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER\n" + docAuth +
				"content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer," +
				"Signature=106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e\n\n",
			"10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n" + strings.Repeat(a, 65536) + "\r\n" +
				"400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n" + strings.Repeat(a, 1024) + "\r\n" +
				"0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n" +
				"x-amz-checksum-crc32c:sOO8/Q==\r\n" +
				"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := receive(t, test.request)
			req, err := verifier(docTime).Verify(with(r, strings.NewReader(test.body)))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(req.Body)
			if err != nil || string(body) != strings.Repeat(a, 66560) {
				t.Fatalf("%d bytes, %v", len(body), err)
			}
			if req.Trailer != nil {
				if h, err := req.Trailer(); err != nil || h.Get("x-amz-checksum-crc32c") != "sOO8/Q==" {
					t.Errorf("trailer %v, %v", h, err)
				}
			}
		})
	}
}

// The ways in which known clients write the end of a body.
func TestChunkedDialects(t *testing.T) {
	for name, body := range map[string]string{
		"one chunk":           "5\r\nhello\r\n0\r\n" + crcLine + "\r\n\r\n",
		"line feed in front":  "5\r\nhello\r\n0\r\n" + crcLine + "\n\r\n\r\n",
		"space after colon":   "5\r\nhello\r\n0\r\nX-Amz-Checksum-Crc32: AAAAAA==\r\n\r\n",
		"leading zeros":       "0005\r\nhello\r\n000\r\n" + crcLine + "\r\n\r\n",
		"upper case, in part": "1\r\nh\r\n4\r\nello\r\n0\r\n" + crcLine + "\r\n\r\n",
	} {
		req, err := verifier(testTime).Verify(with(chunkedRequest(t, streamingTrailer, 5, "x-amz-checksum-crc32"), strings.NewReader(body)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(req.Body)
		if err != nil || string(got) != "hello" {
			t.Errorf("%s: %q, %v", name, got, err)
			continue
		}
		if h, err := req.Trailer(); err != nil || h.Get("X-Amz-Checksum-Crc32") != "AAAAAA==" {
			t.Errorf("%s: trailer %v, %v", name, h, err)
		}
	}
}

// Without announced trailers the unsigned mode has none.
func TestChunkedNoTrailer(t *testing.T) {
	for body, code := range map[string]string{
		"2\r\nhi\r\n0\r\n\r\n":                    "",
		"2\r\nhi\r\n0\r\n" + crcLine + "\r\n\r\n": MalformedTrailerError,
		"2\r\nhi\r\n0\r\n\r\n\r\n":                IncompleteBody,
	} {
		req, err := verifier(testTime).Verify(with(chunkedRequest(t, streamingTrailer, 2, ""), strings.NewReader(body)))
		if err != nil {
			t.Fatal(err)
		}
		if req.Trailer != nil {
			t.Error("there is a trailer")
		}
		got, err := io.ReadAll(req.Body)
		if code == "" {
			if string(got) != "hi" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			continue
		}
		refused(t, err, code)
	}
}

// Bodies that are not what was signed or announced. None may reach io.EOF, and
// none may give all of its content to a reader who stops at its size.
func TestChunkedRefused(t *testing.T) {
	replace := func(old, text string) func(string) string {
		return func(s string) string { return strings.Replace(s, old, text, 1) }
	}
	cut := func(n int) func(string) string { return func(s string) string { return s[:len(s)-n] } }
	signatures := strings.Repeat("0", 64)
	for _, test := range []struct {
		name    string
		payload string
		edit    func(string) string
		code    string
	}{
		{"content", streamingPayload, replace("345", "346"), SignatureDoesNotMatch},
		{"content of a later chunk", streamingPayload, replace("\r\n89", "\r\n88"), SignatureDoesNotMatch},
		{"signature", streamingPayload, replace("chunk-signature=", "chunk-signature=x"), IncompleteBody},
		{"no signature", streamingPayload, func(s string) string { return "8" + s[strings.Index(s, "\r\n"):] }, IncompleteBody},
		{"wrong signature", streamingPayload, func(s string) string { i := strings.Index(s, "=") + 1; return s[:i] + signatures + s[i+64:] }, SignatureDoesNotMatch},
		{"wrong last signature", streamingPayload, func(s string) string {
			i := strings.LastIndex(s, "=") + 1
			return s[:i] + signatures + s[i+64:]
		}, SignatureDoesNotMatch},
		{"chunks the other way round", streamingPayload, func(s string) string {
			i := strings.Index(s, "01234567\r\n") + 10
			j := strings.Index(s, "89012345\r\n") + 10
			return s[i:j] + s[:i] + s[j:]
		}, SignatureDoesNotMatch},
		{"no end", streamingPayload, func(s string) string { return s[:strings.LastIndex(s, "0;")] }, IncompleteBody},
		{"end too early", streamingPayload, func(s string) string { return s[:100] }, IncompleteBody},
		{"no last line", streamingPayload, cut(2), IncompleteBody},
		{"half a last line", streamingPayload, cut(1), IncompleteBody},
		{"more after the end", streamingPayload, func(s string) string { return s + "x" }, IncompleteBody},
		{"much after the end", streamingPayload, func(s string) string { return s + strings.Repeat("\r\n", 9000) }, MalformedTrailerError},
		{"trailer not announced", streamingPayload, func(s string) string { return s[:len(s)-2] + crcLine + "\r\n\r\n" }, MalformedTrailerError},
		{"LF", streamingPayload, replace("\r\n", "\n"), IncompleteBody},
		{"empty", streamingPayload, func(string) string { return "" }, IncompleteBody},
		{"size is no number", streamingPayload, replace("8;", "g;"), IncompleteBody},
		{"size is negative", streamingPayload, replace("8;", "-8;"), IncompleteBody},
		{"no size", streamingPayload, replace("8;", ";"), IncompleteBody},
		{"size is too large", streamingPayload, replace("8;", "15;"), IncompleteBody},
		{"size is huge", streamingPayload, replace("8;", "ffffffffffffffff;"), IncompleteBody},
		{"size has many digits", streamingPayload, replace("8;", "00000000000000008;"), IncompleteBody},
		{"chunk is shorter", streamingPayload, replace("8;", "7;"), IncompleteBody},
		{"chunk is longer", streamingPayload, replace("8;", "9;"), IncompleteBody},
		{"endless line", streamingPayload, func(string) string { return strings.Repeat("8", 1<<20) }, IncompleteBody},
		{"long line", streamingPayload, replace("8;", "8;"+strings.Repeat("x", 600)), IncompleteBody},

		{"trailer value", streamingSignedTrailer, replace("AAAAAA", "AAAAAB"), SignatureDoesNotMatch},
		{"no trailer signature", streamingSignedTrailer, func(s string) string { return s[:strings.LastIndex(s, "x-amz-trailer")] + "\r\n" }, SignatureDoesNotMatch},
		{"empty trailer signature", streamingSignedTrailer, func(s string) string { return s[:strings.LastIndex(s, ":")+1] + "\r\n\r\n" }, SignatureDoesNotMatch},
		{"trailer after its signature", streamingSignedTrailer, func(s string) string { return s[:len(s)-2] + "x-amz-checksum-sha1:x\r\n\r\n" }, MalformedTrailerError},

		{"trailer missing", streamingTrailer, replace(crcLine+"\r\n", ""), MalformedTrailerError},
		{"other trailer", streamingTrailer, replace("crc32", "sha1"), MalformedTrailerError},
		{"trailer twice", streamingTrailer, replace(crcLine, crcLine+"\r\n"+crcLine), MalformedTrailerError},
		{"another trailer", streamingTrailer, replace(crcLine, crcLine+"\r\nx-amz-copy-source:b/k"), MalformedTrailerError},
		{"trailer signature in unsigned mode", streamingTrailer, replace(crcLine, crcLine+"\r\nx-amz-trailer-signature:"+signatures), MalformedTrailerError},
		{"no colon", streamingTrailer, replace(crcLine, "x-amz-checksum-crc32"), MalformedTrailerError},
		{"control character", streamingTrailer, replace("AAAAAA", "A\x00A"), MalformedTrailerError},
		{"long value", streamingTrailer, replace("AAAAAA", strings.Repeat("A", 600)), MalformedTrailerError},
		{"cut in the trailer", streamingTrailer, cut(6), IncompleteBody},
		{"cut after the trailer", streamingTrailer, cut(2), IncompleteBody},
		{"extension", streamingTrailer, replace("8\r\n", "8;chunk-signature="+signatures+"\r\n"), IncompleteBody},
	} {
		t.Run(test.name, func(t *testing.T) {
			content := "01234567890123456789"
			r, body := encode(t, test.payload, content, 8)
			edited := test.edit(body)
			if edited == body {
				t.Fatal("the test changes nothing")
			}
			for _, size := range []int{1, 5, 8, 20, 4096} {
				req, err := verifier(testTime).Verify(with(r, strings.NewReader(edited)))
				if err != nil {
					t.Fatal(err)
				}
				n, p := 0, make([]byte, size)
				for err == nil {
					var m int
					m, err = req.Body.Read(p)
					n += m
				}
				refused(t, err, test.code)
				if n >= len(content) {
					t.Errorf("in steps of %d, all %d bytes were given away", size, n)
				}
				if _, again := req.Body.Read(p); again != err {
					t.Errorf("the error became %v", again)
				}
				if req.Trailer != nil {
					if _, again := req.Trailer(); again != err {
						t.Errorf("the trailer has the error %v", again)
					}
				}
			}
		})
	}
}

func BenchmarkChunked(b *testing.B) {
	content := strings.Repeat("0123456789abcdef", 1<<16)
	for _, payload := range streamingModes {
		b.Run(payload, func(b *testing.B) {
			r, body := encode(b, payload, content, 64<<10)
			v := verifier(testTime)
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				req, err := v.Verify(with(r, strings.NewReader(body)))
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, req.Body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
