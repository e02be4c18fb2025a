import { both, client, server, type Statement } from "./Statement.ts"

/** The numbered statements of MQTT 3.1.1 (OASIS Standard of 29 October 2014, appendix B), without the `MQTT-` before the number. */
export const statements311: Readonly<Record<string, Statement>> = {
  // Strings, packets in general
  "1.5.3-1": both("The text of a string is well-formed UTF-8 without surrogates, else the connection is closed"),
  "1.5.3-2": both("A string has no NUL, else the connection is closed"),
  "1.5.3-3": both("The bytes EF BB BF are the character U+FEFF wherever they stand, and are kept"),
  "2.2.2-1": both("Reserved flags of the fixed header have the values that the standard lists"),
  "2.2.2-2": both("Other flags end the connection"),
  "2.3.1-1": both("SUBSCRIBE, UNSUBSCRIBE and PUBLISH above QoS 0 have a packet id that is not 0"),
  "2.3.1-2": client("A client gives each new packet an id that is in no use"),
  "2.3.1-3": client("A packet that a client sends again has its id again, which is free once it was answered"),
  "2.3.1-4": server("The same holds for the server's PUBLISH above QoS 0"),
  "2.3.1-5": both("A PUBLISH of QoS 0 has no packet id"),
  "2.3.1-6": both("PUBACK, PUBREC and PUBREL have the id of their PUBLISH"),
  "2.3.1-7": server("SUBACK and UNSUBACK have the id of what they answer"),

  // CONNECT
  "3.1.0-1": both("The first packet of a client is CONNECT"),
  "3.1.0-2": server("A second CONNECT ends the connection"),
  "3.1.2-1": server("A CONNECT with another protocol name is not processed as one of MQTT 3.1.1"),
  "3.1.2-2": server("A level that is not served is answered by CONNACK 0x01, then the close"),
  "3.1.2-3": server("The reserved flag of CONNECT is 0, else the connection is closed"),
  "3.1.2-4": both("Clean Session 0 goes on with the session, or begins one, which outlives the connection"),
  "3.1.2-5": server("Such a session gets messages of QoS 1 and 2 for its subscriptions while its client is away"),
  "3.1.2-6": both("Clean Session 1 discards the session that is there; the new one ends with the connection"),
  "3.1.2-7": server("Retained messages are no part of a session, and stay when it ends"),
  "3.1.2-8": server("A will is stored with an accepted connection, and published at its end unless DISCONNECT came"),
  "3.1.2-9": both("With the will flag the payload has the will's topic and message"),
  "3.1.2-10": server("The will is forgotten once it was published, or at DISCONNECT"),
  "3.1.2-11": both("Without the will flag there are no will QoS, will retain, will topic and will message"),
  "3.1.2-12": server("Without the will flag no will is published"),
  "3.1.2-13": both("Without the will flag the QoS of the will is 0"),
  "3.1.2-14": both("The QoS of a will is 0, 1 or 2"),
  "3.1.2-15": both("Without the will flag the retain flag of the will is 0"),
  "3.1.2-16": server("A will without the retain flag is published as a message that is not retained"),
  "3.1.2-17": server("A will with the retain flag is published as a retained message"),
  "3.1.2-18": both("Without the user name flag there is no user name"),
  "3.1.2-19": both("With the user name flag there is a user name"),
  "3.1.2-20": both("Without the password flag there is no password"),
  "3.1.2-21": both("With the password flag there is a password"),
  "3.1.2-22": both("Without the user name flag the password flag is 0"),
  "3.1.2-23": client("A client that has a keep alive time and nothing to send sends PINGREQ in time"),
  "3.1.2-24": server(
    "A connection on which nothing came for one and a half keep alive times is closed as if the network had failed"
  ),
  "3.1.3-1": both(
    "The payload of CONNECT has client id, will topic, will message, user name and password in this order"
  ),
  "3.1.3-2": both("The client id is by what client and server find the session"),
  "3.1.3-3": both("The client id is there, as the payload's first field"),
  "3.1.3-4": both("The client id is a UTF-8 string"),
  "3.1.3-5": server("Client ids of 1 to 23 bytes of digits and Latin letters are taken"),
  "3.1.3-6": server("A client with an empty client id, if it is taken, is given one that nobody else has"),
  "3.1.3-7": both("An empty client id comes with Clean Session 1"),
  "3.1.3-8": server("One with Clean Session 0 is answered by CONNACK 0x02, then the close"),
  "3.1.3-9": server("A client id that is not taken is answered by CONNACK 0x02, then the close"),
  "3.1.3-10": both("The will's topic is a UTF-8 string"),
  "3.1.3-11": both("The user name is a UTF-8 string"),
  "3.1.4-1": server("A CONNECT that is not as the standard has it is closed without CONNACK"),
  "3.1.4-2": server("A connection whose client id connects again is closed"),
  "3.1.4-3": server("Clean Session is applied to a CONNECT that is taken"),
  "3.1.4-4": server("A CONNECT that is taken is answered by CONNACK 0"),
  "3.1.4-5": server("Nothing is processed of what comes behind a CONNECT that is refused"),

  // CONNACK
  "3.2.0-1": server("The server's first packet is CONNACK"),
  "3.2.2-1": server("Session Present is 0 for Clean Session 1"),
  "3.2.2-2": server("Session Present is 1 for Clean Session 0 where a session is stored"),
  "3.2.2-3": server("Session Present is 0 where none is stored"),
  "3.2.2-4": server("Session Present is 0 in a CONNACK that refuses"),
  "3.2.2-5": server("A CONNACK that refuses is followed by the close"),
  "3.2.2-6": server("A refusal that has no return code is a close without CONNACK"),

  // PUBLISH
  "3.3.1-1": both("DUP is 1 in a PUBLISH that is sent again"),
  "3.3.1-2": both("DUP is 0 in every PUBLISH of QoS 0"),
  "3.3.1-3": server("The DUP flag that came in goes to nobody: only what is sent again has it"),
  "3.3.1-4": both("No PUBLISH has QoS 3; one ends the connection"),
  "3.3.1-5": server("A retained message is stored with its QoS for those who subscribe later"),
  "3.3.1-6": server("A new subscription is sent the last retained message of every topic that matches"),
  "3.3.1-7": server("A retained message of QoS 0 takes the place of the earlier one", "It is kept as any other."),
  "3.3.1-8": server("RETAIN is 1 in what is sent for a new subscription"),
  "3.3.1-9": server("RETAIN is 0 in what is sent for a subscription that was there"),
  "3.3.1-10": server("An empty retained message is delivered as any, and removes the topic's retained message"),
  "3.3.1-11": server("An empty retained message is not retained"),
  "3.3.1-12": server("A message without RETAIN leaves the topic's retained message as it is"),
  "3.3.2-1": both("The topic is PUBLISH's first field, a UTF-8 string"),
  "3.3.2-2": both("A topic has no wildcards"),
  "3.3.2-3": server("The topic of a PUBLISH to a client matches its filter"),
  "3.3.4-1": both("A PUBLISH is answered as its QoS has it"),
  "3.3.5-1": server(
    "Of overlapping subscriptions the message has the highest QoS that was granted",
    "One copy is sent."
  ),
  "3.3.5-2": server(
    "A PUBLISH that is not allowed is acknowledged all the same, or the connection is closed",
    "Topics under $SYS are acknowledged, those of streams end the connection."
  ),
  "3.6.1-1": both("The flags of PUBREL are 0010, else the connection is closed"),

  // SUBSCRIBE, SUBACK
  "3.8.1-1": both("The flags of SUBSCRIBE are 0010, else the connection is closed"),
  "3.8.3-1": both("Filters of SUBSCRIBE are UTF-8 strings"),
  "3.8.3-2": server("A server without wildcards refuses filters that have some", "Wildcards are taken."),
  "3.8.3-3": both("SUBSCRIBE has one filter at least"),
  "3.8.3-4": server("Reserved bits beside a filter's QoS, or QoS 3, end the connection"),
  "3.8.4-1": server("SUBSCRIBE is answered by SUBACK"),
  "3.8.4-2": server("SUBACK has the packet id of its SUBSCRIBE"),
  "3.8.4-3": server(
    "A subscription takes the place of the one with the same filter; retained messages come again, and no message is lost"
  ),
  "3.8.4-4": server("Several filters are as many SUBSCRIBEs with one SUBACK"),
  "3.8.4-5": server("SUBACK has a code for each filter: the QoS that was granted, or a failure"),
  "3.8.4-6": server("Messages come with the lower of the QoS published and the QoS granted"),
  "3.9.3-1": server("The codes of SUBACK are in the filters' order"),
  "3.9.3-2": server("The codes are 0, 1, 2 and 0x80"),

  // UNSUBSCRIBE, UNSUBACK
  "3.10.1-1": both("The flags of UNSUBSCRIBE are 0010, else the connection is closed"),
  "3.10.3-1": both("Filters of UNSUBSCRIBE are UTF-8 strings"),
  "3.10.3-2": both("UNSUBSCRIBE has one filter at least"),
  "3.10.4-1": server("A filter is compared byte by byte; the subscription that has it is deleted"),
  "3.10.4-2": server("Nothing new is added for the client by it then"),
  "3.10.4-3": server("What was begun to be delivered of QoS 1 and 2 is completed"),
  "3.10.4-4": server("UNSUBSCRIBE is answered by UNSUBACK with its packet id"),
  "3.10.4-5": server("So it is where nothing was deleted"),
  "3.10.4-6": server("Several filters are as many UNSUBSCRIBEs with one UNSUBACK"),

  // PINGREQ, DISCONNECT
  "3.12.4-1": server("PINGREQ is answered by PINGRESP"),
  "3.14.1-1": server("The flags of DISCONNECT are 0, else the connection is closed"),
  "3.14.4-1": client("A client closes behind DISCONNECT"),
  "3.14.4-2": client("A client sends nothing behind DISCONNECT"),
  "3.14.4-3": server("At DISCONNECT the will is discarded"),

  // Operation
  "4.1.0-1": both("The session's state is stored as long as the session lasts"),
  "4.1.0-2": both("A session lasts as long as its connection at least"),
  "4.3.1-1": both("A message of QoS 0 is sent with QoS 0 and DUP 0"),
  "4.3.2-1": both(
    "A message of QoS 1 is sent with an id that is in no use and DUP 0, and is unacknowledged until its PUBACK"
  ),
  "4.3.2-2": both(
    "PUBACK with its id answers a message that was taken; behind it the same id is a new message, whatever its DUP"
  ),
  "4.3.3-1": both(
    "A message of QoS 2 is sent with an id that is in no use and DUP 0; PUBREC is answered by PUBREL, behind which it is not sent again"
  ),
  "4.3.3-2": both(
    "PUBREC answers each PUBLISH until PUBREL, delivered once; PUBCOMP answers PUBREL, and the id is a new message then"
  ),
  "4.4.0-1": both(
    "PUBLISH above QoS 0 and PUBREL without answer are sent again with their ids when the client is back"
  ),
  "4.5.0-1": server("A message is added to the session of every client with a subscription that matches"),
  "4.5.0-2": client("A client acknowledges what it gets, whether it uses it or not"),
  "4.6.0-1": both("Messages are sent again in their order"),
  "4.6.0-2": both("PUBACKs are sent in the messages' order"),
  "4.6.0-3": both("PUBRECs are sent in the messages' order"),
  "4.6.0-4": both("PUBRELs are sent in the PUBRECs' order"),
  "4.6.0-5": server("Every topic is an ordered one by default"),
  "4.6.0-6": server("Messages of one client, topic and QoS come in the order in which they were received"),
  "4.7.1-1": both("Wildcards are for filters, not for topics"),
  "4.7.1-2": both("# stands alone or behind /, and last"),
  "4.7.1-3": both("+ takes a whole level"),
  "4.7.2-1": server("A filter that begins with a wildcard does not match topics that begin with $"),
  "4.7.3-1": both("Topics and filters have one character at least"),
  "4.7.3-2": both("Topics and filters have no NUL"),
  "4.7.3-3": both(
    "Topics and filters have no more than 65,535 bytes",
    "No more than `limits.topicBytesMax`, 1,024 by default."
  ),
  "4.7.3-4": server("Matching changes no character of topics and filters"),
  "4.8.0-1": both("A protocol violation ends the connection"),
  "4.8.0-2": both(
    "A passing failure of the server's own ends the connection",
    "The test's failure is a disk that is nearly full."
  ),

  // WebSocket, conformance
  "6.0.0-1": both("MQTT is in binary frames; any other data frame ends the connection"),
  "6.0.0-2": both("Frames need not begin or end where packets do"),
  "6.0.0-3": client("A client offers the subprotocol mqtt"),
  "6.0.0-4": server("The server selects the subprotocol mqtt"),
  "7.0.0-1": server(
    "A server that connects to other servers conforms as a client too",
    "The server connects to none: nothing but the command line has a client."
  ),
  "7.0.0-2": both("No extension is needed to work together", "A client by mqtt-packet alone does."),
  "7.1.1-1": server(
    "There is a transport that carries bytes in order and without loss in both directions",
    "TCP and WebSocket."
  ),
  "7.1.2-1": client("The same of a client")
}
