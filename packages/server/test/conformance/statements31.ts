import { both, server, type Statement } from "./Statement.ts"

/**
 * What MQTT 3.1 (IBM and Eurotech, 2010) has otherwise than MQTT 3.1.1. It numbers nothing: these numbers are ours, behind the name of
 * its section's packet.
 */
export const statements31: Readonly<Record<string, Statement>> = {
  "HEADER-1": both("SUBSCRIBE, UNSUBSCRIBE and PUBREL that are sent again may have DUP"),
  "HEADER-2": both("Flags of the fixed header that a packet has no use for may be any"),
  "CONNECT-1": both("The protocol name is MQIsdp, the level 3"),
  "CONNECT-2": server("A client id of more than 23 characters is answered by CONNACK 2, then the close"),
  "CONNECT-3": server("So is an empty one, with Clean Session too"),
  "CONNECT-4": server(
    "A user name or password that the packet's length has no room for is not there, whatever its flag says"
  ),
  "CONNACK-1": server("CONNACK does not tell whether there was a session: its first byte is 0"),
  "PUBLISH-1": server("A PUBLISH that is not allowed is acknowledged, and goes to nobody"),
  "SUBACK-1": server(
    "SUBACK has no code for a failure: a filter that is refused is acknowledged",
    "With QoS 0, the least."
  ),
  "WEBSOCKET-1": server(
    "Over WebSocket the subprotocol is mqttv3.1, where the client offers no other",
    "By use, not by the standard."
  )
}
