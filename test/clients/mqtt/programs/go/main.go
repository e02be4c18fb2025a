// Drives autopaho.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/extensions/topicaliases"
)

type words map[string]string

func (w words) number(name string) int {
	number, _ := strconv.Atoi(w[name])
	return number
}

var stdout sync.Mutex

func say(format string, values ...any) {
	stdout.Lock()
	defer stdout.Unlock()
	fmt.Printf(format+"\n", values...)
}

type connection struct {
	name    string
	manager *autopaho.ConnectionManager
	// Topics of messages to us, by their aliases: the library hands them on without.
	topics map[uint16]string
}

func connect(w words) (*connection, error) {
	scheme := "mqtt"
	if w["websocket"] != "" {
		scheme = "ws"
	}
	server, err := url.Parse(scheme + "://127.0.0.1:" + w["port"])
	if err != nil {
		return nil, err
	}
	c := &connection{name: w["client"], topics: map[uint16]string{}}
	config := autopaho.ClientConfig{
		ServerUrls:                    []*url.URL{server},
		KeepAlive:                     60,
		CleanStartOnInitialConnection: w["clean"] == "1",
		SessionExpiryInterval:         uint32(w.number("expiry")),
		ReconnectBackoff:              func(int) time.Duration { return 200 * time.Millisecond },
		OnConnectionUp: func(_ *autopaho.ConnectionManager, connack *paho.Connack) {
			session := 0
			if connack.SessionPresent {
				session = 1
			}
			say("connected client=%s session=%d", c.name, session)
		},
		ClientConfig: paho.ClientConfig{
			ClientID:          w["id"],
			PacketTimeout:     30 * time.Second,
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){c.received},
		},
	}
	if w["aliases"] != "" {
		config.ConnectPacketBuilder = func(packet *paho.Connect, _ *url.URL) (*paho.Connect, error) {
			if packet.Properties == nil {
				packet.Properties = &paho.ConnectProperties{}
			}
			packet.Properties.TopicAliasMaximum = paho.Uint16(uint16(w.number("aliases")))
			return packet, nil
		}
	}
	if w["byAlias"] != "" {
		config.ClientConfig.PublishHook = topicaliases.NewTAHandler(5).PublishHook
	}
	if w["willTopic"] != "" {
		config.WillMessage = &paho.WillMessage{
			Topic: w["willTopic"], Payload: []byte(w["willPayload"]), QoS: byte(w.number("willQos")),
		}
		config.WillProperties = &paho.WillProperties{WillDelayInterval: paho.Uint32(uint32(w.number("willDelay")))}
	}
	if c.manager, err = autopaho.NewConnection(context.Background(), config); err != nil {
		return nil, err
	}
	return c, c.manager.AwaitConnection(context.Background())
}

func (c *connection) received(r paho.PublishReceived) (bool, error) {
	p := r.Packet
	topic := p.Topic
	told := ""
	if properties := p.Properties; properties != nil {
		if alias := properties.TopicAlias; alias != nil {
			if topic != "" {
				c.topics[*alias] = topic
			}
			topic = c.topics[*alias]
		}
		if properties.SubscriptionIdentifier != nil {
			told += fmt.Sprintf(" ids=%d", *properties.SubscriptionIdentifier)
		}
		if properties.ResponseTopic != "" {
			told += " response=" + properties.ResponseTopic
		}
		if properties.CorrelationData != nil {
			told += " correlation=" + string(properties.CorrelationData)
		}
	}
	retain := 0
	if p.Retain {
		retain = 1
	}
	say("message client=%s topic=%s qos=%d retain=%d payload=%s%s", c.name, topic, p.QoS, retain, p.Payload, told)
	return true, nil
}

func (c *connection) subscribe(w words) error {
	packet := &paho.Subscribe{
		Subscriptions: []paho.SubscribeOptions{{Topic: w["filter"], QoS: byte(w.number("qos"))}},
	}
	if w["identifier"] != "" {
		identifier := w.number("identifier")
		packet.Properties = &paho.SubscribeProperties{SubscriptionIdentifier: &identifier}
	}
	_, err := c.manager.Subscribe(context.Background(), packet)
	return err
}

func (c *connection) publish(w words) error {
	packet := &paho.Publish{
		Topic: w["topic"], Payload: []byte(w["payload"]), QoS: byte(w.number("qos")), Retain: w["retain"] == "1",
	}
	if w["response"] != "" {
		packet.Properties = &paho.PublishProperties{
			ResponseTopic: w["response"], CorrelationData: []byte(w["correlation"]),
		}
	}
	for {
		_, err := c.manager.Publish(context.Background(), packet)
		// Nothing was sent then. What was sent is sent again by the library.
		if !errors.Is(err, autopaho.ConnectionDownError) {
			return err
		}
		if err := c.manager.AwaitConnection(context.Background()); err != nil {
			return err
		}
	}
}

func (c *connection) do(verb string, w words) error {
	switch verb {
	case "subscribe":
		return c.subscribe(w)
	case "publish":
		return c.publish(w)
	default:
		return c.manager.Disconnect(context.Background())
	}
}

func release() string {
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, module := range build.Deps {
			if module.Path == "github.com/eclipse/paho.golang" {
				return strings.TrimPrefix(module.Version, "v")
			}
		}
	}
	return "unknown"
}

func answer(id string, err error) {
	if err != nil {
		say("%s failed %v", id, err)
	} else {
		say("%s ok", id)
	}
}

func main() {
	say("ready library=autopaho release=%s", release())
	connections := map[string]*connection{}
	lines := bufio.NewReaderSize(os.Stdin, 1<<16)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		said := strings.Split(strings.TrimSuffix(line, "\n"), " ")
		id, verb, w := said[0], said[1], words{}
		for _, word := range said[2:] {
			name, value, _ := strings.Cut(word, "=")
			w[name] = value
		}
		if verb == "connect" {
			c, err := connect(w)
			connections[w["client"]] = c
			answer(id, err)
			continue
		}
		c := connections[w["client"]]
		go func() { answer(id, c.do(verb, w)) }()
	}
}
