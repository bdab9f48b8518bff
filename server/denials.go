package server

import (
	"container/list"
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Bounds of what is kept of denials, so that strangers cannot fill the memory.
const (
	denialsKept = 4096
	perRequest  = 64
	keptText    = 1024 // bytes of a key, of an explanation, of all groups
	keptName    = 256  // bytes of a name
)

// Bounds of what is logged of them.
const logPerSecond = 50

// Parts of both bounds, so that nobody can crowd out the denials of all others.
const (
	guestsPart   = 2 // all guests together have half
	identityPart = 4 // one identity has a quarter
)

// denials are the last denials.
type denials struct {
	log *slog.Logger

	mu         sync.Mutex
	everybody  share
	guests     share
	identities map[string]*share
	requests   map[string]*tally
	skipped    int
	report     *time.Timer // tells how many were skipped; nil if none were
}

// share is what is kept and logged of somebody. The list is in order of time.
type share struct {
	list.List
	name string // of an identity, else ""
	part int    // of the bounds, as a divisor

	second time.Time // when the count of logged began
	logged int
}

// keptDenial is in the lists of each of its shares.
type keptDenial struct {
	requestID string
	Denial
	shares []*share
	places []*list.Element
}

// tally counts the denials of one request.
type tally struct{ kept, omitted int }

func newDenials(log *slog.Logger) *denials {
	return &denials{
		log: log, everybody: share{part: 1}, guests: share{part: guestsPart},
		identities: map[string]*share{}, requests: map[string]*tally{},
	}
}

// sharesOf returns the shares that n is part of, the smallest first.
func (d *denials) sharesOf(n *Denial) []*share {
	name := n.Role + " " + n.Identity
	own := d.identities[name]
	if own == nil {
		own = &share{name: name, part: identityPart}
	}
	if n.Role == "guest" {
		return []*share{own, &d.guests, &d.everybody}
	}
	return []*share{own, &d.everybody}
}

// add keeps a denial, and logs it unless there are too many.
func (d *denials) add(ctx context.Context, requestID string, n Denial) {
	d.mu.Lock()
	shares := d.sharesOf(&n)
	d.keep(requestID, n, shares)
	tell := d.mayLog(n.Time, shares)
	d.mu.Unlock()
	if !tell {
		return
	}
	attrs := []slog.Attr{
		slog.String("request", requestID), slog.String("action", n.Action), slog.String("bucket", n.Bucket), slog.String("key", n.Key),
		slog.String("identity", n.Identity), slog.String("user", n.Username), slog.String("role", n.Role),
	}
	if len(n.Groups) > 0 {
		attrs = append(attrs, slog.String("groups", strings.Join(n.Groups, ",")))
	}
	if n.Rule != "" {
		attrs = append(attrs, slog.String("rule", n.Rule))
	}
	attrs = append(attrs, slog.String("nearest", n.Nearest), slog.String("explanation", oneLine(n.Explanation)))
	d.log.LogAttrs(ctx, slog.LevelInfo, "denied", attrs...)
}

// keep puts a denial into its shares, in the place of the oldest of one that is full.
func (d *denials) keep(requestID string, n Denial, shares []*share) {
	if t := d.requests[requestID]; t != nil && t.kept == perRequest {
		t.omitted++
		return
	}
	for _, s := range shares {
		if s.Len() >= denialsKept/s.part {
			d.drop(s.Front().Value.(*keptDenial))
		}
	}
	t := d.requests[requestID]
	if t == nil {
		t = new(tally)
		d.requests[requestID] = t
	}
	t.kept++
	k := &keptDenial{requestID: requestID, Denial: n, shares: shares}
	for _, s := range shares {
		k.places = append(k.places, s.PushBack(k))
	}
	d.identities[shares[0].name] = shares[0]
}

// drop forgets a denial.
func (d *denials) drop(k *keptDenial) {
	for i, s := range k.shares {
		s.Remove(k.places[i])
	}
	if own := k.shares[0]; own.Len() == 0 {
		delete(d.identities, own.name)
	}
	if t := d.requests[k.requestID]; t.kept == 1 {
		delete(d.requests, k.requestID)
	} else {
		t.kept--
		t.omitted++
	}
}

// of returns the denials of a request, or nil.
func (d *denials) of(requestID string) *Denials {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.requests[requestID]
	if t == nil {
		return nil
	}
	all := &Denials{RequestID: requestID, Omitted: t.omitted}
	for e := d.everybody.Front(); e != nil; e = e.Next() {
		if k := e.Value.(*keptDenial); k.requestID == requestID {
			all.Denials = append(all.Denials, k.Denial)
		}
	}
	return all
}

// mayLog counts what is logged in each second.
func (d *denials) mayLog(now time.Time, shares []*share) bool {
	room := true
	for _, s := range shares {
		if since := now.Sub(s.second); since >= time.Second || since < 0 {
			s.second, s.logged = now, 0
		}
		room = room && s.logged < logPerSecond/s.part
	}
	if room {
		for _, s := range shares {
			s.logged++
		}
		return true
	}
	if d.skipped++; d.report == nil {
		d.report = time.AfterFunc(time.Second, d.tellSkipped)
	}
	return false
}

// tellSkipped logs how many denials were not logged.
func (d *denials) tellSkipped() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.skipped > 0 {
		d.log.Info("more denials than are logged one by one", "left_out", d.skipped)
	}
	if d.report != nil {
		d.report.Stop()
	}
	d.skipped, d.report = 0, nil
}
