package identity

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/cubby-storage/cubby/internal/state"
)

const (
	refreshEvery = time.Second      // how long a change made elsewhere may go unseen
	refreshMax   = 30 * time.Second // how long memory is trusted when the state fails
	reloadEvery  = lifetimeMax      // how long memory holds what has no meaning any more
)

// Revoke ends the sessions of a login, and refuses the tokens that its
// provider issued to it until now. It holds when Revoke returns, for ever.
func (p *Pool) Revoke(ctx context.Context, provider, subject string) error {
	return p.revoke(ctx, state.Login{Provider: provider, Subject: subject}, true)
}

// EndSessions ends the sessions of a login. Its tokens stay good: with one of
// them the user gets a new session, with what has changed for that user.
func (p *Pool) EndSessions(ctx context.Context, provider, subject string) error {
	return p.revoke(ctx, state.Login{Provider: provider, Subject: subject}, false)
}

func (p *Pool) revoke(ctx context.Context, l state.Login, signOut bool) error {
	err := p.db.Update(ctx, func(t *state.Tx) error {
		_, err := t.Revoke(ctx, l, signOut)
		return err
	})
	if err == nil {
		err = p.reload(ctx)
	}
	return internal(err)
}

// Disable shuts an identity out and ends its sessions, or lets it in again.
// If it is not stored, the error has the code ResourceNotFoundException.
func (p *Pool) Disable(ctx context.Context, identityID string, disabled bool) error {
	err := p.db.Update(ctx, func(t *state.Tx) error {
		if err := t.DisableIdentity(ctx, identityID, disabled); err != nil {
			return gone(err, "Identity '"+identityID+"' not found.")
		}
		all, err := t.Logins(ctx, identityID)
		if err != nil {
			return err
		}
		for _, l := range all {
			if _, err := t.Revoke(ctx, l, false); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = p.reload(ctx)
	}
	return internal(err)
}

// Refresh makes what was changed in the state hold at once, rather than within
// a second.
func (p *Pool) Refresh(ctx context.Context) error { return internal(p.reload(ctx)) }

// fresh makes sure that what is in memory was right a moment ago. It waits
// for the state once a second, and for nothing otherwise.
func (p *Pool) fresh(ctx context.Context) error {
	now := p.cfg.Now()
	if !recently(p.tried.Load(), now, refreshEvery) {
		p.refreshing.Lock()
		if !recently(p.tried.Load(), now, refreshEvery) {
			// A caller that goes away must not leave the others in the dark.
			// What fails is tried again in a second.
			_ = p.refresh(context.WithoutCancel(ctx))
		}
		p.refreshing.Unlock()
	}
	if !recently(p.refreshed.Load(), now, refreshMax) {
		return &Error{Code: CodeUnavailable, Message: "It is not known now which sessions were revoked."}
	}
	return nil
}

func recently(nanos int64, now time.Time, within time.Duration) bool {
	age := now.Sub(time.Unix(0, nanos))
	return age < within && age > -within
}

// reload brings memory up to date at once.
func (p *Pool) reload(ctx context.Context) error {
	p.refreshing.Lock()
	defer p.refreshing.Unlock()
	return p.refresh(context.WithoutCancel(ctx))
}

// refresh compares memory with the state and loads what has changed.
// The caller holds p.refreshing, or is New.
func (p *Pool) refresh(ctx context.Context) error {
	now := p.cfg.Now()
	p.tried.Store(now.UnixNano())
	// The number is read first: a change between it and the load is loaded
	// once more, not missed.
	version, err := p.watch.Version(ctx)
	if err != nil {
		return err
	}
	all := p.reloaded.IsZero() || now.Sub(p.reloaded) > reloadEvery
	if all || version != p.version {
		if err := p.load(ctx, now, all); err != nil {
			return err
		}
		p.version = version
	}
	p.refreshed.Store(now.UnixNano())
	return nil
}

func (p *Pool) load(ctx context.Context, now time.Time, all bool) error {
	var changes state.Changes
	var epochs []state.Epoch
	var keys []state.AccessKey
	err := p.db.View(ctx, func(t *state.Tx) (err error) {
		if changes, err = t.Changes(ctx); err != nil {
			return err
		}
		if all || changes.Epochs != p.changes.Epochs {
			after := p.changes.Epochs
			if all {
				after = 0
			}
			// What was revoked before that has expired by itself.
			if epochs, err = t.Epochs(ctx, after, now.Add(-lifetimeMax-time.Hour)); err != nil {
				return err
			}
		}
		if all || changes.AccessKeys != p.changes.AccessKeys {
			keys, err = t.AccessKeys(ctx)
		}
		return err
	})
	if err != nil {
		return err
	}
	p.mem.Lock()
	defer p.mem.Unlock()
	p.groups = make(map[state.Login][]string)
	p.changed++
	if all {
		p.epochs = make(map[state.Login]uint64)
		p.reloaded = now
	}
	for _, e := range epochs {
		p.epochs[e.Login] = e.Count
	}
	if all || changes.AccessKeys != p.changes.AccessKeys {
		p.keys = maps.Collect(p.usable(slices.Values(keys)))
	}
	p.changes = changes
	return nil
}
