package cubby_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cubby-storage/cubby"
	"github.com/cubby-storage/cubby/cubbytest"
)

// line is the way to a server. What comes back on it is up to answer.
type line struct {
	answer func(r *http.Request, resp *http.Response) error
}

// RoundTrip implements http.RoundTripper.
func (l *line) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if err := l.answer(r, resp); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// over returns a client of srv whose requests go over l, for a new user.
func over(t *testing.T, srv *cubbytest.Server, user string, l *line) *cubby.Client {
	t.Helper()
	c, err := cubby.New(cubby.Config{Outputs: srv.Outputs(), HTTPClient: &http.Client{Transport: l}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.SignIn(t.Context(), user, srv.AddUser(user)); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestLostAnswers writes what must not be there yet to a real server, whose first
// answer to say that it is done is lost.
func TestLostAnswers(t *testing.T) {
	srv := cubbytest.NewServer(t, nil)
	upload := func(size int) func(c *cubby.Client) error {
		return func(c *cubby.Client) error {
			_, err := c.Upload(t.Context(), cubby.Key("x", cubby.Private), bytes.NewReader(make([]byte, size)), &cubby.UploadOptions{PreventOverwrite: true})
			return err
		}
	}
	if _, err := srv.Bucket("media").Put(t.Context(), "public/source", strings.NewReader("source"), nil); err != nil {
		t.Fatal(err)
	}
	for name, write := range map[string]func(c *cubby.Client) error{
		"empty": upload(0),
		"small": upload(1000),
		"large": upload(cubby.DefaultPartSize + 1),
		"copy": func(c *cubby.Client) error {
			_, err := c.Copy(t.Context(), cubby.Key("x", cubby.Private), cubby.At("public/source"), &cubby.CopyOptions{PreventOverwrite: true})
			return err
		},
	} {
		var lost atomic.Bool
		c := over(t, srv, name, &line{func(r *http.Request, resp *http.Response) error {
			q := r.URL.Query()
			last := r.Method == http.MethodPut && !q.Has("partNumber") || r.Method == http.MethodPost && q.Has("uploadId")
			if last && resp.StatusCode == http.StatusOK && lost.CompareAndSwap(false, true) {
				return io.ErrUnexpectedEOF
			}
			return nil
		}})
		t.Run(name, func(t *testing.T) {
			t.Parallel() // a client waits before it sends again
			if err := write(c); err != nil {
				t.Errorf("error is %v", err)
			}
			if !lost.Load() {
				t.Error("no answer was lost")
			}
			if err := write(c); !errors.Is(err, fs.ErrExist) {
				t.Errorf("the second time, the error is %v, want fs.ErrExist", err)
			}
		})
	}
}

// TestCanceledUpload cancels uploads to a real server when the answer to their
// start or to a part is on its way.
func TestCanceledUpload(t *testing.T) {
	srv := cubbytest.NewServer(t, nil)
	var stop func(request string)
	c := over(t, srv, "alice", &line{func(r *http.Request, _ *http.Response) error {
		if stop != nil {
			stop(r.Method + " " + r.URL.RawQuery)
		}
		return nil
	}})
	for _, at := range []string{"POST uploads", "PUT partNumber=2"} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stop = func(request string) {
			if strings.HasPrefix(request, at) {
				cancel()
			}
		}
		_, err := c.Upload(ctx, cubby.At("public/x"), bytes.NewReader(make([]byte, 2*cubby.DefaultPartSize+1)), &cubby.UploadOptions{Parallel: 1})
		if ctx.Err() == nil {
			t.Errorf("%s: was not asked", at)
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error is %v, want context.Canceled", at, err)
		}
		page, err := srv.Bucket("media").ListUploads(t.Context(), nil)
		if err != nil || len(page.Uploads) != 0 {
			t.Errorf("%s: uploads are left behind: %v, %v", at, page, err)
		}
	}
}
