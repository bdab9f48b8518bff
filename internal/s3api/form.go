package s3api

import (
	"errors"
	"io"
	"math"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/cubby-storage/cubby/internal/sigv4"
)

// Limits of a form up to its file. They bound what a stranger can make the
// server hold: who signed the form is known only after its fields.
const (
	maxForm   = 64 << 10 // bytes, as sent and again after ${filename} was put in
	maxFields = 100
)

// form is a browser form that uploads a file, read up to the content of the file.
type form struct {
	fields   map[string]string // by name in lower case, without the file
	filename string            // without any folder
	raw      *bounded
	parts    *multipart.Reader
	file     io.Reader
}

// The fields that sign a form, those that PutObject has as headers, and all that
// are about the form itself.
var (
	signFields    = []string{"policy", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-security-token", "x-amz-signature"}
	headerFields  = []string{"cache-control", "content-disposition", "content-encoding", "content-language", "content-md5", "content-type", "expires"}
	controlFields = append([]string{"key", "bucket", "acl", "tagging", "success_action_status", "success_action_redirect"}, signFields...)
)

// formBoundary returns what parts the fields of the form in r, or "" if r holds
// none: a request that is signed in its headers is not a form, whatever it sends.
func formBoundary(r *http.Request) string {
	types := r.Header["Content-Type"]
	if r.Method != http.MethodPost || len(types) != 1 || len(r.Header["Authorization"]) > 0 {
		return ""
	}
	t, params, err := mime.ParseMediaType(types[0])
	if err != nil || t != "multipart/form-data" {
		return ""
	}
	return params["boundary"]
}

// readForm reads the fields of a form, which end with the file.
func readForm(body io.Reader, boundary string) (*form, error) {
	f := &form{fields: make(map[string]string), raw: &bounded{r: body, left: maxForm}}
	f.parts = multipart.NewReader(f.raw, boundary)
	for {
		p, err := f.parts.NextRawPart()
		if err == io.EOF {
			return nil, newError("IncorrectNumberOfFilesInPostRequest", "")
		}
		if err != nil {
			return nil, formError(err)
		}
		name, filename, err := partName(p)
		if err != nil {
			return nil, err
		}
		if name == "file" {
			f.filename, f.file = filename, p
			f.raw.left = math.MaxInt64
			return f, nil
		}
		if _, ok := f.fields[name]; ok {
			return nil, newError("MalformedPOSTRequest", "A field occurs more than once: "+name)
		}
		if len(f.fields) == maxFields {
			return nil, formError(errFormTooLarge)
		}
		value, err := io.ReadAll(p)
		if err != nil {
			return nil, formError(err)
		}
		if !utf8.Valid(value) {
			return nil, newError("MalformedPOSTRequest", "A field is not valid UTF-8: "+name)
		}
		f.fields[name] = string(value)
	}
}

// partName returns the name of a field in lower case and, of a file, its own name.
func partName(p *multipart.Part) (name, filename string, err error) {
	bad := newError("MalformedPOSTRequest", "")
	lines := p.Header["Content-Disposition"]
	if len(lines) != 1 {
		return "", "", bad
	}
	kind, params, err := mime.ParseMediaType(lines[0])
	if err != nil || kind != "form-data" {
		return "", "", bad
	}
	switch strings.ToLower(p.Header.Get("Content-Transfer-Encoding")) {
	case "", "binary", "7bit", "8bit":
	default:
		return "", "", bad
	}
	name, filename = params["name"], params["filename"]
	// Outside of ASCII two names could become one in lower case.
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) || !utf8.ValidString(filename) {
		return "", "", bad
	}
	return strings.ToLower(name), filename[strings.LastIndexAny(filename, `/\`)+1:], nil
}

// formError returns err, met in a form, as the caller is told of it.
func formError(err error) error {
	if _, ok := errors.AsType[*bodyError](err); ok {
		return err
	}
	if errors.Is(err, errFormTooLarge) {
		return newError("MaxPostPreDataLengthExceededError", "")
	}
	return (&Error{Code: "MalformedPOSTRequest", Err: err}).complete()
}

// signature returns the fields that sign the form.
func (f *form) signature() *sigv4.PolicyForm {
	v := f.fields
	return &sigv4.PolicyForm{
		Policy: v["policy"], Algorithm: v["x-amz-algorithm"], Credential: v["x-amz-credential"],
		Date: v["x-amz-date"], SecurityToken: v["x-amz-security-token"], Signature: v["x-amz-signature"],
	}
}

// expand puts the name of the file where fields ask for it.
func (f *form) expand() error {
	const variable = "${filename}"
	signs := make(map[string]bool, len(signFields))
	for _, name := range signFields {
		signs[name] = true
	}
	size := 0
	for name, v := range f.fields {
		if signs[name] {
			continue
		}
		if size += len(v) + strings.Count(v, variable)*len(f.filename); size > maxForm {
			return formError(errFormTooLarge)
		}
		f.fields[name] = strings.ReplaceAll(v, variable, f.filename)
	}
	return nil
}

// bounded fails instead of giving more than left bytes.
type bounded struct {
	r    io.Reader
	left int64
}

var errFormTooLarge = errors.New("the form is too large")

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errFormTooLarge
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// formFile is the file of a form. It fails unless the file has from least to most
// bytes and the form ends with it.
type formFile struct {
	f           *form
	least, most int64
	n           int64
	end         error                 // once there is nothing more to read
	failed      atomic.Pointer[error] // end, unless it is io.EOF; a driver may have others read for it
}

func (r *formFile) Read(p []byte) (int, error) {
	if r.end != nil {
		return 0, r.end
	}
	n, err := r.f.file.Read(p)
	r.n += int64(n)
	switch {
	case r.n > r.most:
		err = newError("EntityTooLarge", "The file is larger than the "+itoa(r.most)+" bytes that it may have.")
	case err == io.EOF && r.n < r.least:
		err = newError("EntityTooSmall", "The file is smaller than the "+itoa(r.least)+" bytes that it must have.")
	case err == io.EOF:
		err = r.f.close()
	case err != nil:
		err = formError(err)
	}
	if err == nil {
		return n, nil
	}
	r.end = err
	if err != io.EOF {
		n = 0
		r.failed.Store(&err)
	}
	return n, err
}

// close reads what comes after the file, and returns io.EOF if it is nothing.
func (f *form) close() error {
	f.raw.left = maxForm
	switch _, err := f.parts.NextRawPart(); {
	case err == nil:
		return newError("MalformedPOSTRequest", "The file must be the last field of the form.")
	case err != io.EOF:
		return formError(err)
	}
	// To the end of the request, so that it is known to have come whole.
	_, err := io.Copy(io.Discard, f.raw)
	switch {
	case err == nil:
		return io.EOF
	case errors.Is(err, errFormTooLarge):
		return newError("MalformedPOSTRequest", "Too much comes after the form.")
	}
	return formError(err)
}
