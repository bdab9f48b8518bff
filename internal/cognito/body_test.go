package cognito

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cubby-storage/cubby/internal/identity"
)

// held is an identity pool whose calls wait.
type held struct {
	broken
	leave chan struct{}
}

func (p held) GetID(ctx context.Context, _ string, _ map[string]string, _ string) (string, error) {
	select {
	case <-p.leave:
		return "eu-1:x", nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// noUsers is a user pool that nobody calls.
type noUsers struct{ UserPool }

func (noUsers) ID() string { return userPoolID }

// post asks for an id with a body of which size bytes come, announced or not.
func post(ctx context.Context, h *Handler, body io.Reader, length int64) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", body)
	r.ContentLength = length
	r.Header.Set("X-Amz-Target", getID)
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// sized returns a request of size bytes.
func sized(size int) string {
	const head, tail = `{"IdentityPoolId":"x","y":"`, `"}`
	return head + strings.Repeat("y", size-len(head)-len(tail)) + tail
}

func TestLargeBodiesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := held{leave: make(chan struct{})}
		h := New(p, noUsers{}, nil)
		send := func(size int, announced bool) *httptest.ResponseRecorder {
			length := int64(-1)
			if announced {
				length = int64(size)
			}
			return post(t.Context(), h, strings.NewReader(sized(size)), length)
		}
		var wg sync.WaitGroup
		for i := range largeMax {
			wg.Go(func() {
				if w := send(smallMax+1+i, i%2 == 0); w.Code != http.StatusOK {
					t.Errorf("large body: %d %s", w.Code, w.Body)
				}
			})
		}
		synctest.Wait()
		start := time.Now()
		for _, announced := range []bool{true, false} {
			w := send(smallMax+1, announced)
			if w.Code != http.StatusServiceUnavailable || w.Header().Get("x-amzn-errortype") != tooManyRequests {
				t.Errorf("one large body too many, announced %t: %d %s", announced, w.Code, w.Body)
			}
		}
		if took := time.Since(start); took != 2*largeWait {
			t.Errorf("two large bodies were refused after %v", took)
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		if w := post(gone, h, strings.NewReader(sized(bodyMax)), bodyMax); w.Code != http.StatusBadRequest || time.Since(start) != 2*largeWait {
			t.Errorf("a caller who has gone was waited for: %d %s", w.Code, w.Body)
		}
		for _, announced := range []bool{true, false} {
			wg.Go(func() {
				if w := send(smallMax, announced); w.Code != http.StatusOK {
					t.Errorf("small body: %d %s", w.Code, w.Body)
				}
			})
		}
		wg.Go(func() { // it waits for its turn
			if w := send(bodyMax, false); w.Code != http.StatusOK {
				t.Errorf("large body: %d %s", w.Code, w.Body)
			}
		})
		synctest.Wait()
		close(p.leave)
		wg.Wait()
		if len(h.large) != 0 {
			t.Errorf("%d turns were not given back", len(h.large))
		}
	})
}

func TestTurnsAreGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(broken{&identity.Error{Code: identity.CodeConflict}}, noUsers{}, nil)
		for what, body := range map[string]string{
			"refused":   sized(smallMax + 1),
			"no JSON":   strings.Repeat("x", smallMax+1),
			"too large": sized(bodyMax + 1),
		} {
			for range largeMax + 1 {
				if w := post(t.Context(), h, strings.NewReader(body), -1); w.Code == http.StatusServiceUnavailable {
					t.Fatalf("%s: %s", what, w.Body)
				}
				cut := io.MultiReader(strings.NewReader(body[:smallMax+1]), failing{})
				if w := post(t.Context(), h, cut, -1); w.Header().Get("x-amzn-errortype") != serialization {
					t.Fatalf("%s, cut off: %d %s", what, w.Code, w.Body)
				}
			}
		}
		if w := post(t.Context(), h, failing{}, bodyMax+1); w.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("too large, as it says itself: %d %s", w.Code, w.Body)
		}
	})
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, fmt.Errorf("connection: %w", io.ErrUnexpectedEOF) }

// TestBodyTakesMemoryAsItComes checks that who announces much and sends little
// holds little.
func TestBodyTakesMemoryAsItComes(t *testing.T) {
	h := New(nil, nil, nil)
	for _, length := range []int64{100, smallMax, bodyMax} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(sized(100)))
		r.ContentLength = length
		text, done, err := h.body(httptest.NewRecorder(), r)
		if err != nil {
			t.Fatal(err)
		}
		if done(); cap(text) > 4096 {
			t.Errorf("100 of %d bytes take %d", length, cap(text))
		}
	}
}
