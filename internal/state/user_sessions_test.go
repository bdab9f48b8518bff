package state

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestUserSessionsAreBounded follows the sessions of one user, who may have
// four, beside those of another one.
func TestUserSessionsAreBounded(t *testing.T) {
	ctx := t.Context()
	now := time.Unix(1_800_000_000, 0)
	db := open(t, filepath.Join(t.TempDir(), "s.db"), func() time.Time { return now })
	add := func(sub, id string, epoch int64, lifetime time.Duration) {
		t.Helper()
		now = now.Add(time.Second)
		update(t, db, func(tx *Tx) error {
			s := &UserSession{ID: id, Sub: sub, Client: "c", Epoch: epoch, AuthTime: now, Expires: now.Add(lifetime)}
			return tx.AddUserSession(ctx, s, &RefreshToken{ID: "token of " + id, Hash: []byte(id), Expires: s.Expires}, 4)
		})
	}
	want := func(story, ids string) {
		t.Helper()
		var got []string
		err := db.View(ctx, func(tx *Tx) error {
			for i := range 20 {
				id := fmt.Sprintf("%02d", i)
				_, err := tx.UserSession(ctx, id)
				_, err2 := tx.RefreshToken(ctx, "token of "+id)
				if errors.Is(err, fs.ErrNotExist) != errors.Is(err2, fs.ErrNotExist) {
					t.Errorf("%s: session %s: %v, its token: %v", story, id, err, err2)
				}
				if err == nil {
					got = append(got, id)
				}
			}
			return nil
		})
		if s := strings.Join(got, " "); err != nil || s != ids {
			t.Errorf("%s: sessions %s, %v; want %s", story, s, err, ids)
		}
	}
	for _, sub := range []string{"ann", "bob"} {
		update(t, db, func(tx *Tx) error { return tx.AddUser(ctx, &User{Sub: sub, Name: sub, Status: "x"}) })
	}
	const month = 30 * 24 * time.Hour
	add("bob", "00", 0, month)
	for i := range 4 {
		add("ann", fmt.Sprintf("%02d", 1+i), 0, month)
	}
	want("as many as may be", "00 01 02 03 04")
	add("ann", "05", 0, month)
	want("one more", "00 02 03 04 05")

	// What has ended goes before what is old.
	update(t, db, func(tx *Tx) error { return tx.RevokeUserSession(ctx, "04") })
	add("ann", "06", 0, month)
	want("after one was revoked", "00 02 03 05 06")
	add("ann", "07", 1, month) // the others are of an epoch that is over
	add("ann", "08", 1, time.Minute)
	add("ann", "09", 1, month)
	want("in a new epoch", "00 06 07 08 09")
	now = now.Add(time.Hour)
	add("ann", "10", 1, month)
	add("ann", "11", 1, month)
	want("after one expired", "00 07 09 10 11")

	now = now.Add(month + 25*time.Hour)
	add("ann", "12", 1, month)
	want("after they expired", "12") // bob's is among the few that anybody's sign-in forgets
}

func TestNewUUID(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := make(map[string]bool)
	for range 1000 {
		if id := NewUUID(); !form.MatchString(id) || seen[id] {
			t.Fatalf("%s is no random UUID, or seen before: %t", id, seen[id])
		} else {
			seen[id] = true
		}
	}
}
