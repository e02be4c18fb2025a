import { defaultLimits, type Limits } from "@logbrook/core/Limits"
import { levelsOf } from "@logbrook/core/TopicFilter"

/** A topic whose retained message was set by the event `seq`. */
export interface RetainedTopic {
  readonly topic: string
  readonly seq: number
}

interface Node {
  readonly parent: Node | undefined
  /** The level that leads here from the parent. */
  readonly level: string
  /** By level. Made on first use: most nodes are leaves. */
  children: Map<string, Node> | undefined
  /** The bytes of the message and its topic; 0: nothing is retained here. */
  bytes: number
  /**
   * The topic that is retained here, so that a visit allocates nothing. Each message has another object, so that a
   * holder sees the change.
   */
  retained: RetainedTopic | undefined
}

const makeNode = (parent: Node | undefined, level: string): Node => ({
  parent,
  level,
  children: undefined,
  bytes: 0,
  retained: undefined
})

const isReserved = (level: string): boolean => level.charCodeAt(0) === 0x24

/**
 * The topics of all retained messages, for finding those that match a filter: the inverse of `TopicTrie`.
 * Each node has one path to it, so a match visits each at most once; `#` visits them all.
 */
export class RetainedIndex {
  readonly #root: Node = makeNode(undefined, "")
  readonly #limits: Pick<Limits, "retainedMessagesMax" | "retainedBytesMax">
  #size = 0
  #bytes = 0

  constructor(limits: Pick<Limits, "retainedMessagesMax" | "retainedBytesMax"> = defaultLimits) {
    this.#limits = limits
  }

  /** The topics held. */
  get size(): number {
    return this.#size
  }

  /** The bytes of all messages and their topics. */
  get bytes(): number {
    return this.#bytes
  }

  has(topic: string): boolean {
    return this.#find(topic)?.retained !== undefined
  }

  /** As `set` was told; undefined: nothing is retained there. */
  seqOf(topic: string): number | undefined {
    return this.#find(topic)?.retained?.seq
  }

  /** Whether a message of `messageBytes` may be retained on the topic, in place of the one that is there. */
  hasRoomFor(topic: string, messageBytes: number): boolean {
    const before = this.#find(topic)
    const size = this.#size + (before?.retained === undefined ? 1 : 0)
    const bytes = this.#bytes - (before?.bytes ?? 0) + messageBytes + Buffer.byteLength(topic)
    return size <= this.#limits.retainedMessagesMax && bytes <= this.#limits.retainedBytesMax
  }

  /** Adds a topic, or replaces its message, set by the event `seq`. That is durable already, so nothing is refused here. */
  set(topic: string, messageBytes: number, seq: number): void {
    let node = this.#root
    for (const level of levelsOf(topic)) {
      node.children ??= new Map()
      let child = node.children.get(level)
      if (child === undefined) {
        child = makeNode(node, level)
        node.children.set(level, child)
      }
      node = child
    }
    if (node.retained === undefined) this.#size++
    this.#bytes -= node.bytes
    node.retained = { topic, seq }
    node.bytes = messageBytes + Buffer.byteLength(topic)
    this.#bytes += node.bytes
  }

  /** Removes a topic and the nodes that led to nothing else; tells whether it was there. */
  delete(topic: string): boolean {
    let node = this.#find(topic)
    if (node?.retained === undefined) return false
    this.#size--
    this.#bytes -= node.bytes
    node.retained = undefined
    node.bytes = 0
    while (node.parent !== undefined && node.retained === undefined && node.children === undefined) {
      const { parent, level }: Node = node
      parent.children!.delete(level)
      if (parent.children!.size === 0) parent.children = undefined
      node = parent
    }
    return true
  }

  /**
   * Visits the topics that a valid filter matches, as `matches` of TopicFilter says, in no promised order.
   * The visitor must not change the index; returning false ends the match.
   */
  match(filter: string, visit: Visit): void {
    matchLevels(this.#root, levelsOf(filter), 0, visit)
  }

  #find(topic: string): Node | undefined {
    let node: Node | undefined = this.#root
    for (const level of levelsOf(topic)) {
      node = node.children?.get(level)
      if (node === undefined) return undefined
    }
    return node
  }
}

type Visit = (retained: RetainedTopic) => boolean | void

/** False: the visitor has seen enough. The recursion is as deep as a topic has levels. */
const matchLevels = (node: Node, levels: ReadonlyArray<string>, at: number, visit: Visit): boolean => {
  if (at === levels.length) return visitOne(node, visit)
  const level = levels[at]!
  if (level === "#") return (at === 0 || visitOne(node, visit)) && visitBelow(node, at === 0, visit)
  if (node.children === undefined) return true
  if (level !== "+") {
    const child = node.children.get(level)
    return child === undefined || matchLevels(child, levels, at + 1, visit)
  }
  for (const child of node.children.values()) {
    // No wildcard matches a first level that begins with $ [MQTT-4.7.2-1].
    if (at === 0 && isReserved(child.level)) continue
    if (!matchLevels(child, levels, at + 1, visit)) return false
  }
  return true
}

const visitOne = ({ retained }: Node, visit: Visit): boolean => retained === undefined || visit(retained) !== false

const visitBelow = (node: Node, isFirstLevel: boolean, visit: Visit): boolean => {
  if (node.children === undefined) return true
  for (const child of node.children.values()) {
    if (isFirstLevel && isReserved(child.level)) continue
    if (!visitOne(child, visit) || !visitBelow(child, false, visit)) return false
  }
  return true
}
