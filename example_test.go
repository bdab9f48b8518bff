package cubby_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/cubby-storage/cubby"
	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/memstore"
)

// bucket returns a bucket in memory, so that the examples need no server.
func bucket(ctx context.Context) store.Bucket {
	s := memstore.New()
	if err := s.CreateBucket(ctx, "media"); err != nil {
		log.Fatal(err)
	}
	b, err := s.Bucket(ctx, "media")
	if err != nil {
		log.Fatal(err)
	}
	return b
}

// A visitor signs in at a Cubby server and uploads a photo into their own folder.
func Example() {
	ctx := context.Background()
	out, err := cubby.Discover(ctx, "https://files.example.com", nil)
	if err != nil {
		log.Fatal(err)
	}
	c, err := cubby.New(cubby.Config{Outputs: out})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := c.SignIn(ctx, "alice", os.Getenv("PASSWORD")); err != nil {
		log.Fatal(err)
	}
	photo, err := os.Open("photo.jpg")
	if err != nil {
		log.Fatal(err)
	}
	defer photo.Close()
	if _, err := c.Upload(ctx, cubby.Key("photo.jpg", cubby.Private), photo, nil); err != nil {
		log.Fatal(err)
	}
	u, expires, err := c.URL(ctx, cubby.Key("photo.jpg", cubby.Private), nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(u, "until", expires)
}

func ExampleClient_Upload() {
	ctx := context.Background()
	c, err := cubby.New(cubby.Config{Store: bucket(ctx), IdentityID: "me"})
	if err != nil {
		log.Fatal(err)
	}
	info, err := c.Upload(ctx, cubby.Key("notes/today.txt", cubby.Private), strings.NewReader("hello"), &cubby.UploadOptions{
		Attributes:       cubby.Attributes{CacheControl: "no-cache", User: map[string]string{"mood": "good"}},
		PreventOverwrite: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(info.Path, info.Size, info.ContentType)
	// Output: private/me/notes/today.txt 5 text/plain
}

func ExampleClient_Download() {
	ctx := context.Background()
	c, err := cubby.New(cubby.Config{Store: bucket(ctx), IdentityID: "me"})
	if err != nil {
		log.Fatal(err)
	}
	mine := cubby.AtFunc(func(id string) string { return "inbox/" + id + "/letter" })
	if _, err := c.Upload(ctx, mine, strings.NewReader("dear me"), nil); err != nil {
		log.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := c.Download(ctx, mine, &b, nil); err != nil {
		log.Fatal(err)
	}
	fmt.Println(b.String())
	// Output: dear me
}

func ExampleClient_List() {
	ctx := context.Background()
	c, err := cubby.New(cubby.Config{Store: bucket(ctx), IdentityID: "me"})
	if err != nil {
		log.Fatal(err)
	}
	for _, key := range []string{"a.txt", "album/1.jpg", "album/2.jpg"} {
		if _, err := c.Upload(ctx, cubby.Key(key, cubby.Private), strings.NewReader(key), nil); err != nil {
			log.Fatal(err)
		}
	}
	for item, err := range c.List(ctx, cubby.Key("", cubby.Private), &cubby.ListOptions{Delimiter: "/"}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(item.Key)
	}
	// Output:
	// a.txt
	// album/
}
