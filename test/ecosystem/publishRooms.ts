import mqtt from "mqtt"

export const rooms: ReadonlyArray<string> = Array.from({ length: 12 }, (_, n) => `room-${String(n).padStart(2, "0")}`)
/** Below the least Receive Maximum of the server. */
const unansweredMax = 100

/** A room's n-th message. */
export const messageOf = (room: string, n: number): string => `${room} ${n}`

/** Messages `from` up to `until` of every room under a topic, at QoS 1, each room by a client of its own; resolves once all are acknowledged. */
export const publishRooms = async (url: string, under: string, from: number, until: number): Promise<void> => {
  const publish = async (room: string): Promise<void> => {
    const client = await mqtt.connectAsync(url, { clientId: `${under}-${room}`, reconnectPeriod: 0 })
    let next = from
    const lane = async (): Promise<void> => {
      while (next < until) await client.publishAsync(`${under}/${room}`, messageOf(room, next++), { qos: 1 })
    }
    await Promise.all(Array.from({ length: unansweredMax }, lane))
    await client.endAsync()
  }
  await Promise.all(rooms.map(publish))
}

/** All messages of all rooms, sorted. */
export const publishedRooms = (until: number): ReadonlyArray<string> =>
  rooms.flatMap((room) => Array.from({ length: until }, (_, n) => messageOf(room, n))).toSorted()
