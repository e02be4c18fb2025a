// Package program is what the programs of Go share: commands are read and answered, as ../../../scenarios.ts has them.
package program

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Timeout is how long a library may take for what it is asked.
const Timeout = 20 * time.Second

// HeaderKey and HeaderValue are of the header that every record has.
const (
	HeaderKey   = "source"
	HeaderValue = "matrix"
)

// Brokers is the server's address.
var Brokers = os.Args[1]

// Words are what is said behind a verb.
type Words map[string]string

// Number is 0 where there is none of the name.
func (w Words) Number(name string) int64 {
	number, _ := strconv.ParseInt(w[name], 10, 64)
	return number
}

// Record is one that a command asks for.
type Record struct{ Key, Value string }

// Records are those of `prefix` and `count`.
func (w Words) Records() []Record {
	records := make([]Record, w.Number("count"))
	for i := range records {
		records[i] = Record{Key: fmt.Sprintf("k%d", i), Value: fmt.Sprintf("%s%d", w["prefix"], i)}
	}
	return records
}

// Verb answers a command.
type Verb func(ctx context.Context, w Words) (Words, error)

// Done is a verb that answers nothing but that it is done.
func Done(do func(ctx context.Context, w Words) error) Verb {
	return func(ctx context.Context, w Words) (Words, error) { return nil, do(ctx, w) }
}

// Member reads in a goroutine of its own until it leaves.
type Member struct {
	lock sync.Mutex
	seen []string
	end  context.CancelFunc
	done chan struct{}
}

// Read adds a record to what was seen.
func (m *Member) Read(key, value, header []byte) {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.seen = append(m.seen, fmt.Sprintf("%s/%s/%s", key, value, header))
}

// Join makes a member. `read` tells it what it has read, and commits that, until its context is done; then it closes.
type Join func(ctx context.Context, w Words, member *Member) (read func(), err error)

type members map[string]*Member

func (all members) verbs(join Join) map[string]Verb {
	return map[string]Verb{
		"join": Done(func(_ context.Context, w Words) error {
			ctx, end := context.WithCancel(context.Background())
			member := &Member{end: end, done: make(chan struct{})}
			read, err := join(ctx, w, member)
			if err != nil {
				end()
				return err
			}
			all[w["member"]] = member
			go func() {
				defer close(member.done)
				read()
			}()
			return nil
		}),
		"seen": func(_ context.Context, w Words) (Words, error) {
			member := all[w["member"]]
			member.lock.Lock()
			defer member.lock.Unlock()
			return Words{"records": strings.Join(member.seen, ",")}, nil
		},
		"leave": Done(func(_ context.Context, w Words) error {
			all[w["member"]].end()
			<-all[w["member"]].done
			return nil
		}),
	}
}

func releaseOf(module string) string {
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, each := range build.Deps {
			if each.Path == module {
				return strings.TrimPrefix(each.Version, "v")
			}
		}
	}
	return "unknown"
}

func answer(id string, verb Verb, w Words) string {
	ctx, end := context.WithTimeout(context.Background(), Timeout)
	defer end()
	if verb == nil {
		return id + " failed there is no such verb"
	}
	answer, err := verb(ctx, w)
	if err != nil {
		return fmt.Sprintf("%s failed %q", id, err)
	}
	line := id + " ok"
	for name, value := range answer {
		line += " " + name + "=" + value
	}
	return line
}

// Serve tells that the program is ready, with the release of a module, and carries out the commands on standard input, one after another.
func Serve(module string, join Join, verbs map[string]Verb) {
	fmt.Println("ready release=" + releaseOf(module))
	for name, verb := range (members{}).verbs(join) {
		verbs[name] = verb
	}
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		said := strings.Split(strings.TrimSuffix(line, "\n"), " ")
		w := Words{}
		for _, word := range said[2:] {
			name, value, _ := strings.Cut(word, "=")
			w[name] = value
		}
		fmt.Println(answer(said[0], verbs[said[1]], w))
	}
}
