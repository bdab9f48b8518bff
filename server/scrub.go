package server

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cubby-storage/cubby/internal/state"
	"github.com/cubby-storage/cubby/store/diskstore"
)

const (
	scrubEvery   = 30 * day // by default
	firstScrub   = 20 * time.Minute
	scrubAgain   = 6 * time.Hour // after one that failed
	scrubSlowest = 1 << 20       // bytes a second
	scrubFastest = 50 << 20
	scrubKept    = 100 // findings that are kept
)

// Scrub is one reading of all content in the background.
type Scrub struct {
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended"`
	Objects  int64     `json:"objects"`
	Bytes    int64     `json:"bytes"`
	Rate     int64     `json:"rate"`  // bytes a second at most
	Found    int       `json:"found"` // how many findings there were
	Findings []Finding `json:"findings,omitempty"`
}

// ScrubStatus says how the reading of all content goes.
type ScrubStatus struct {
	Every   string    `json:"every"` // the time in which it is all read once, or none
	Running bool      `json:"running"`
	Started time.Time `json:"started,omitzero"` // of what is running
	Done    int64     `json:"done,omitempty"`   // bytes, of it
	Total   int64     `json:"total,omitempty"`
	Error   string    `json:"error,omitempty"` // why the last one did not come to its end
	Last    *Scrub    `json:"last,omitempty"`  // that did
}

// Status says how a server is that runs.
type Status struct {
	Rules RulesStatus `json:"rules"`
	Scrub ScrubStatus `json:"scrub"`
}

// Status says how the server is.
func (s *Server) Status() Status {
	st := Status{Rules: s.Rules(), Scrub: ScrubStatus{Every: NoAge.String()}}
	if s.scrubber != nil {
		st.Scrub = s.scrubber.state()
	}
	return st
}

// scrubber reads all content once in a while, slowly.
type scrubber struct {
	disk  *diskstore.Store
	db    *state.DB
	log   *slog.Logger
	every time.Duration // 0 is never

	mu  sync.Mutex
	now ScrubStatus
}

// scrubSetting is where the last Scrub is kept.
const scrubSetting = "scrub"

// load reads what is known of the last time.
func (b *scrubber) load(ctx context.Context) error {
	b.now.Every = NoAge.String()
	if b.every > 0 {
		b.now.Every = Age(b.every).String()
	}
	text, err := b.db.Setting(ctx, scrubSetting)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	last := new(Scrub)
	if err := json.Unmarshal(text, last); err == nil { // else it is as if there were none
		b.now.Last = last
	}
	return nil
}

func (b *scrubber) state() ScrubStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

// run scrubs as often as the settings say, until ctx ends.
func (b *scrubber) run(ctx context.Context) {
	if b.every <= 0 {
		return
	}
	wait := firstScrub + rand.N(firstScrub)
	if last := b.state().Last; last != nil {
		wait = max(wait, time.Until(last.Started.Add(b.every)))
	}
	for sleep(ctx, wait) {
		began := time.Now()
		err := b.once(ctx)
		wait = time.Until(began.Add(b.every))
		if err != nil {
			wait = min(b.every, scrubAgain)
		}
		wait = max(wait, time.Minute)
	}
}

// scrubRate is how many bytes a second are read at most, so that all of it is read in
// half of the time: the server may be ended meanwhile, and then begins anew.
func scrubRate(bytes int64, every time.Duration) int64 {
	rate := float64(bytes) / (every / 2).Seconds()
	return int64(min(max(rate, scrubSlowest), scrubFastest))
}

// once scrubs. What it finds is logged, once for each object.
func (b *scrubber) once(ctx context.Context) error {
	done := &Scrub{Started: time.Now().UTC()}
	b.mu.Lock()
	b.now.Running, b.now.Started, b.now.Done, b.now.Total = true, done.Started, 0, 0
	b.mu.Unlock()
	err := b.check(ctx, done)
	if err == nil {
		done.Ended = time.Now().UTC()
		err = b.keep(ctx, done)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now.Running, b.now.Started, b.now.Error = false, time.Time{}, ""
	if err != nil {
		if ctx.Err() == nil {
			b.now.Error = err.Error()
			b.log.ErrorContext(ctx, "the content was not read to its end", "error", shorten(err.Error(), ""))
		}
		return err
	}
	b.now.Last = done
	b.log.InfoContext(ctx, "all content was read", "objects", done.Objects, "bytes", done.Bytes, "findings", done.Found, "took", done.Ended.Sub(done.Started).Round(time.Second))
	return nil
}

// check reads the content.
func (b *scrubber) check(ctx context.Context, done *Scrub) error {
	report, err := b.disk.Scrub(ctx, &diskstore.ScrubOptions{
		Rate: func(total int64) int64 {
			done.Rate = scrubRate(total, b.every)
			return done.Rate
		},
		Progress: func(read, total int64) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.now.Done, b.now.Total = read, total
		},
	})
	if err != nil {
		return err
	}
	done.Objects, done.Bytes = report.Objects, report.Bytes
	type about struct {
		kind              diskstore.FindingKind
		bucket, key, blob string
	}
	told := map[about]bool{}
	for _, f := range report.Findings {
		this := about{f.Kind, f.Bucket, f.Key, ""}
		if f.Key == "" {
			this.blob = f.Blob
		}
		if told[this] {
			continue
		}
		told[this] = true
		if done.Found++; len(done.Findings) < scrubKept {
			done.Findings = append(done.Findings, foundIn(objectsDir, &f))
		}
		b.log.ErrorContext(ctx, "objects", "kind", string(f.Kind), "bucket", f.Bucket, "key", shorten(f.Key, ""), "blob", f.Blob, "text", shorten(f.Text, ""))
	}
	return nil
}

func (b *scrubber) keep(ctx context.Context, done *Scrub) error {
	text, err := json.Marshal(done)
	if err != nil {
		return err
	}
	return b.db.Update(ctx, func(tx *state.Tx) error { return tx.SetSetting(ctx, scrubSetting, text) })
}
