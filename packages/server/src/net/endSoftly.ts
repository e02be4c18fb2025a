import type { Socket } from "node:net"
import type { Clock } from "@logbrook/core/Clock"

/** So long a connection that has ended is read on. */
export const lingerMs = 1000

/**
 * Half-closes a socket behind what was written, reads on and drops it, and closes when the peer does, or after `lingerMs`.
 * A close behind unread input resets the connection instead, and what was written is lost on its way.
 */
export const endSoftly = (socket: Socket, clock: Clock): void => {
  socket.resume()
  socket.end()
  socket.once(
    "close",
    clock.after(lingerMs, () => socket.destroy())
  )
}
