package access_test

import (
	"fmt"
	"log"

	"github.com/cubby-storage/cubby/access"
)

func Example() {
	p, err := access.Parse("photos.rules", []byte(`
public/*               guest read      authenticated read,write
private/{entity_id}/*  owner read,write,delete
`), nil)
	if err != nil {
		log.Fatal(err)
	}
	ann := &access.Subject{Identity: "ann", Authenticated: true}

	d := p.Decide(ann, access.Write, "private/ann/diary.txt")
	fmt.Println(d.Allowed, d.Role, d.Rule.Pos)
	d = p.Decide(ann, access.Get, "private/bob/diary.txt")
	fmt.Println(d.Allowed, d.Nearest)
	fmt.Println(p.Visible(ann, ""))
	// Output:
	// true owner photos.rules:3
	// false private/{entity_id}/*  owner get,list,write,delete
	// [{private/ann/ private/ann0} {public/ public0}]
}

func ExampleCompile() {
	_, _, err := access.Compile([]access.Rule{
		{Path: "/public/*", Who: "guest", Actions: access.Read, Pos: "cubby.yaml:7"},
		{Path: "drafts/*", Who: "editors", Actions: access.Read, Pos: "cubby.yaml:9"},
	}, nil)
	fmt.Println(err)
	// Output:
	// cubby.yaml:7: path "/public/*": a path does not start with "/"
	// cubby.yaml:9: path "drafts/*": "editors": nobody is called that, want guest, authenticated, owner, group:NAME or function:NAME
}

func ExamplePolicy_Explain() {
	p, err := access.Parse("photos.rules", []byte(`
photos/*         authenticated read
photos/drafts/*  group:editors read
`), nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Explain(&access.Subject{Authenticated: true, Username: "alice"}, access.Get, "photos/drafts/1.jpg"))
	// Output:
	// get on "photos/drafts/1.jpg" is denied
	// `photos/*  authenticated get,list` (photos.rules:2) would give it, but "photos/drafts/*" is nearer and does not
	// the nearest rule that gives what is missing is `photos/drafts/*  group:editors get,list` (photos.rules:3)
	// it is for members of group "editors", and user "alice" is in no group
}

func ExamplePolicy_Prove() {
	p, err := access.Parse("photos.rules", []byte(`
public/*               guest read   authenticated read,write
private/{entity_id}/*  owner read,write,delete   group:support read
`), nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, text := range []string{"guest can never write", "only owner can read private/{entity_id}/*"} {
		st, err := access.ParseStatement(text)
		if err != nil {
			log.Fatal(err)
		}
		proof := p.Prove(st)
		fmt.Println(proof.Holds, proof.Counterexample != nil && proof.Counterexample.Subject.Groups[0] == "support")
	}
	// Output:
	// true false
	// false true
}

func ExampleDiff() {
	before, err := access.Parse("old.rules", []byte("docs/* authenticated read"), nil)
	if err != nil {
		log.Fatal(err)
	}
	after, err := access.Parse("new.rules", []byte("docs/* authenticated read\ndocs/legal/* group:legal read"), nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, c := range access.Diff(before, after) {
		fmt.Println(c)
	}
	// Output:
	// - authenticated may no longer get,list docs/legal/*, which was by `docs/*  authenticated get,list` (old.rules:1); such as docs/legal/file
}
