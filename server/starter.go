package server

import "github.com/cubby-storage/cubby/access"

// Starter returns settings to begin with: the bucket media with a folder for
// everybody, a protected and a private one for each user, and one for the group admin.
func Starter() *Config {
	const all = access.Read | access.Write | access.Delete
	return &Config{
		Listen: DefaultListen,
		Buckets: []Bucket{{
			Name:    "media",
			Default: true,
			Rules: Rules{
				{Path: "public/*", Who: "guest", Actions: access.Read},
				{Path: "public/*", Who: "authenticated", Actions: all},
				{Path: "protected/{entity_id}/*", Who: "guest", Actions: access.Read},
				{Path: "protected/{entity_id}/*", Who: "authenticated", Actions: access.Read},
				{Path: "protected/{entity_id}/*", Who: "owner", Actions: all},
				{Path: "private/{entity_id}/*", Who: "owner", Actions: all},
				{Path: "admin/*", Who: "group:admin", Actions: all},
			},
		}},
	}
}
