package server

import (
	"context"
	"sync"

	"github.com/cubby-storage/cubby/internal/state"
)

// settings are those that operators gave buckets over S3. All of them are in memory,
// so that no request waits to read one.
type settings struct {
	db *state.DB

	change sync.Mutex // held through a change, so that memory and state have the same order
	mu     sync.RWMutex
	texts  map[setting]string
}

// setting is the bucket and the name of one.
type setting struct{ bucket, name string }

func openSettings(ctx context.Context, db *state.DB) (*settings, error) {
	s := &settings{db: db, texts: map[setting]string{}}
	err := db.View(ctx, func(tx *state.Tx) error {
		all, err := tx.Documents(ctx)
		for _, d := range all {
			s.texts[setting{d.Bucket, d.Name}] = d.Text
		}
		return err
	})
	return s, err
}

// Document returns the text of a setting, or "".
func (s *settings) Document(bucket, name string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.texts[setting{bucket, name}]
}

// SetDocument keeps the text of a setting; "" removes it.
func (s *settings) SetDocument(ctx context.Context, bucket, name, text string) error {
	s.change.Lock()
	defer s.change.Unlock()
	err := s.db.Update(ctx, func(tx *state.Tx) error {
		return tx.SetDocument(ctx, state.Document{Bucket: bucket, Name: name, Text: text})
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if text == "" {
		delete(s.texts, setting{bucket, name})
	} else {
		s.texts[setting{bucket, name}] = text
	}
	return nil
}

// Forget removes the settings of a bucket.
func (s *settings) Forget(ctx context.Context, bucket string) error {
	s.change.Lock()
	defer s.change.Unlock()
	if !s.has(bucket) {
		return nil
	}
	err := s.db.Update(ctx, func(tx *state.Tx) error { return tx.ForgetDocuments(ctx, bucket) })
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range s.texts {
		if k.bucket == bucket {
			delete(s.texts, k)
		}
	}
	return nil
}

// has reports whether a bucket has settings.
func (s *settings) has(bucket string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for k := range s.texts {
		if k.bucket == bucket {
			return true
		}
	}
	return false
}
