package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cubby-storage/cubby/internal/sigv4"
)

// Documents for operators, below wellKnown.
const (
	whyDocuments   = "why/" // and the id of a request
	rulesDocument  = "rules"
	doctorDocument = "doctor"
	backupDocument = "backup"
	statusDocument = "status"
)

// operators is something that only operators may read or have done.
type operators struct {
	rest string                                    // of the name of the document
	read func(s *Server, r *question) (any, error) // nil if nothing can be read
	do   func(s *Server, r *question) (any, error) // for a POST; nil if nothing can be done
	dev  bool                                      // in dev mode its users may read it, too
}

// question is what a request asks of a document.
type question struct {
	context.Context
	rest  string // of the name of the document
	query url.Values
}

// operatorDocument returns the document of a name, or nil if none is for operators. What
// is below the name of one is for operators, too, whether or not it is there.
func operatorDocument(name string) *operators {
	first, rest, deeper := strings.Cut(name, "/")
	switch {
	case first+"/" == whyDocuments && deeper:
		return &operators{rest, (*Server).readWhy, nil, true}
	case first+"/" == trashDocuments && deeper:
		return trashDocument(rest)
	case deeper:
		return nil
	case name == rulesDocument:
		return &operators{rest, func(s *Server, _ *question) (any, error) { return s.Rules(), nil }, nil, true}
	case name == statusDocument:
		return &operators{rest, func(s *Server, _ *question) (any, error) { return s.Status(), nil }, nil, false}
	case name == doctorDocument:
		return &operators{rest, func(s *Server, _ *question) (any, error) { return s.checkup.status(), nil }, (*Server).startDoctor, false}
	case name == backupDocument:
		return &operators{rest, func(s *Server, _ *question) (any, error) { return s.copying.status(), nil }, (*Server).startBackup, false}
	}
	return nil
}

func (s *Server) readWhy(q *question) (any, error) {
	d, err := s.Why(q.rest)
	if err != nil {
		return nil, &plainError{http.StatusNotFound, "NoSuchKey", "No denial of such a request is kept."}
	}
	return d, nil
}

// plainError is an error that who asked is told as it is.
type plainError struct {
	status        int
	code, message string
}

func (e *plainError) Error() string { return e.message }

// serveOperator answers with a document that only operators may read, and some in dev
// mode its users, or does what they ask for. To all others everything below these names
// looks the same.
func (s *Server) serveOperator(w http.ResponseWriter, r *http.Request, d *operators) {
	h := w.Header()
	var allow []string
	if d.read != nil {
		allow = append(allow, http.MethodGet, http.MethodHead)
	}
	if d.do != nil {
		allow = append(allow, http.MethodPost)
	}
	answer := d.read
	if r.Method == http.MethodPost {
		answer = d.do
	}
	if !slices.Contains(allow, r.Method) {
		h.Set("Allow", strings.Join(allow, ", "))
		http.Error(w, "This cannot be done with this document.", http.StatusMethodNotAllowed)
		return
	}
	c, err := s.authenticate(r)
	if err == nil && !c.Operator && !(d.dev && s.isDevUser(r.Context(), &c.Subject)) {
		err = &sigv4.Error{Code: "AccessDenied", Message: "Only operators may read this."}
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	v, err := answer(s, &question{r.Context(), d.rest, r.URL.Query()})
	if err != nil {
		s.answerError(w, r, err)
		return
	}
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	h.Set("Content-Type", "application/json")
	w.Write(append(text, '\n'))
}

// answerError tells an operator why something was not done.
func (s *Server) answerError(w http.ResponseWriter, r *http.Request, err error) {
	p, ok := errors.AsType[*plainError](err)
	switch {
	case ok:
	case errors.Is(err, errBusy):
		p = &plainError{http.StatusConflict, "OperationAborted", err.Error()}
	case errors.Is(err, fs.ErrNotExist):
		p = &plainError{http.StatusNotFound, "NoSuchKey", err.Error()}
	case errors.Is(err, fs.ErrExist):
		p = &plainError{http.StatusConflict, "Conflict", err.Error()}
	case errors.Is(err, fs.ErrInvalid):
		p = &plainError{http.StatusBadRequest, "InvalidArgument", err.Error()}
	case errors.Is(err, errors.ErrUnsupported):
		p = &plainError{http.StatusNotImplemented, "NotImplemented", err.Error()}
	default:
		s.refuse(w, r, err)
		return
	}
	writeError(w, p.status, p.code, p.message)
}

// flag returns a parameter that is true or false, which it is by default.
func (q *question) flag(name string) (bool, error) {
	text := q.query.Get(name)
	if text == "" {
		return false, nil
	}
	b, err := strconv.ParseBool(text)
	if err != nil {
		return false, fmt.Errorf("%s must be true or false: %w", name, fs.ErrInvalid)
	}
	return b, nil
}

// number returns a parameter that is a number from 0 to most, which is 0 by default.
func (q *question) number(name string, most int64) (int64, error) {
	text := q.query.Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > most {
		return 0, fmt.Errorf("%s must be a number from 0 to %d: %w", name, most, fs.ErrInvalid)
	}
	return n, nil
}

// Job is something long that a server does for operators, one of its kind at a time: what
// goes on, or else the last that did. The zero value is that there was none.
type Job[T any] struct {
	Running bool      `json:"running"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	Done    int64     `json:"done,omitempty"` // bytes of content that were read
	Total   int64     `json:"total,omitempty"`
	Error   string    `json:"error,omitempty"` // why there is no Result
	Result  *T        `json:"result,omitempty"`
}

// job makes Jobs.
type job[T any] struct {
	mu  sync.Mutex
	now Job[T]
}

// errBusy is the error where a job of the kind is under way.
var errBusy = errors.New("another one is under way")

func (j *job[T]) status() Job[T] {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.now
}

func (j *job[T]) progress(done, total int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.now.Done, j.now.Total = done, total
}

// start has s do a job in the background, until it is closed.
func (j *job[T]) start(s *Server, do func(ctx context.Context) (*T, error)) (Job[T], error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.now.Running {
		return Job[T]{}, errBusy
	}
	j.now = Job[T]{Running: true, Started: time.Now().UTC()}
	s.background.Go(func() {
		result, err := do(s.ending)
		j.mu.Lock()
		defer j.mu.Unlock()
		j.now.Running, j.now.Ended, j.now.Result = false, time.Now().UTC(), result
		if err != nil {
			j.now.Result, j.now.Error = nil, err.Error()
			s.log.Error("what an operator asked for was not done", "error", shorten(err.Error(), ""))
		}
	})
	return j.now, nil
}

// mostRate is the highest rate in MiB a second, more than any disk has.
const mostRate = 1 << 20

// startDoctor starts a check: of content too, if content is set, at most rate MiB of it a
// second. With repair it mends.
func (s *Server) startDoctor(q *question) (any, error) {
	if s.objects == nil {
		return nil, errNotEmbedded
	}
	content, err1 := q.flag("content")
	repair, err2 := q.flag("repair")
	rate, err3 := q.number("rate", mostRate)
	if err := cmp.Or(err1, err2, err3); err != nil {
		return nil, err
	}
	opts := &DiagnoseOptions{Content: content, Repair: repair, Rate: rate << 20, Progress: s.checkup.progress}
	return s.checkup.start(s, func(ctx context.Context) (*Diagnosis, error) { return s.Diagnose(ctx, opts) })
}

// MadeBackup is a backup that a running server made.
type MadeBackup struct {
	Path string `json:"path"` // on the machine of the server
	BackupInfo
}

// startBackup starts a backup in a new directory below that of the settings.
func (s *Server) startBackup(*question) (any, error) {
	if s.objects == nil {
		return nil, errNotEmbedded
	}
	if s.backups == "" {
		return nil, fmt.Errorf("the settings of the server name no directory for backups: %w", errors.ErrUnsupported)
	}
	return s.copying.start(s, func(ctx context.Context) (*MadeBackup, error) {
		path := filepath.Join(s.backups, time.Now().UTC().Format("20060102T150405.000Z"))
		info, err := s.Backup(ctx, path)
		if err != nil {
			return nil, errors.Join(err, os.RemoveAll(path))
		}
		return &MadeBackup{path, *info}, nil
	})
}
