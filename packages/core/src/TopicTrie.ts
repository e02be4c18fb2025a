import { type Held, find, type Keyed, visitAll, withOne, withoutOne } from "./Held.ts"
import { parseTopicFilter } from "./TopicFilter.ts"

/** Its key is the level that leads here from the node above. */
interface Node<E extends Keyed> extends Keyed {
  /** By level; both wildcards are children like any other. */
  children: Held<Node<E>>
  entries: Held<E>
}

const makeNode = <E extends Keyed>(level: string): Node<E> => ({ key: level, children: undefined, entries: undefined })

const isEmpty = <E extends Keyed>({ children, entries }: Node<E>): boolean =>
  children === undefined && entries === undefined

const unlimited = { topicBytesMax: Infinity, topicLevelsMax: Infinity }
/** V8 makes a part of a text that is shorter than this a text of its own; a longer one would keep the whole filter. */
const sliceCharsMin = 13
const ownText = (level: string): string => (level.length < sliceCharsMin ? level : Buffer.from(level).toString())

/** Levels that are kept once: those that many filters have, such as the last ones, come again before there are so many others. */
const knownLevelsMax = 1024

/**
 * Topic filters by level, for finding all that match a topic. An entry belongs to a filter; its key is whatever tells the filter's
 * holders apart (a session, a stream).
 *
 * Each node has one path to it, so a match visits every node at most once: its cost is bounded by the filters held, and
 * for filters without wildcards by the topic's levels.
 */
export class TopicTrie<E extends Keyed> {
  readonly #root = makeNode<E>("")
  readonly #knownLevels = new Map<string, string>()
  #size = 0

  /** The (filter, key) pairs held. */
  get size(): number {
    return this.#size
  }

  /** Adds an entry, or replaces that of (filter, key). Throws `InvalidTopicFilter`; how long it may be is checked where it comes in. */
  add(filter: string, entry: E): void {
    let node = this.#root
    for (const level of parseTopicFilter(filter, unlimited))
      node = find(node.children, level) ?? this.#addChild(node, level)
    if (find(node.entries, entry.key) === undefined) this.#size++
    node.entries = withOne(node.entries, entry)
  }

  #addChild(parent: Node<E>, level: string): Node<E> {
    const child = makeNode<E>(this.#known(level))
    parent.children = withOne(parent.children, child)
    return child
  }

  /** The same string for the same level, as long as it is remembered. */
  #known(level: string): string {
    const known = this.#knownLevels.get(level)
    if (known !== undefined) return known
    if (this.#knownLevels.size >= knownLevelsMax) this.#knownLevels.clear()
    const own = ownText(level)
    this.#knownLevels.set(own, own)
    return own
  }

  /** Removes (filter, key) and the nodes that held nothing else; tells whether it was there. */
  remove(filter: string, key: string): boolean {
    const path = [this.#root]
    for (const level of filter.split("/")) {
      const node = find(path.at(-1)!.children, level)
      if (node === undefined) return false
      path.push(node)
    }
    const last = path.at(-1)!
    if (find(last.entries, key) === undefined) return false
    last.entries = withoutOne(last.entries, key)
    this.#size--
    for (let at = path.length - 1; at > 0 && isEmpty(path[at]!); at--) {
      const parent = path[at - 1]!
      parent.children = withoutOne(parent.children, path[at]!.key)
    }
    return true
  }

  /**
   * Visits the entries of every filter that matches the topic, in no promised order: a key with several matching filters
   * is visited once for each. The visitor must not change the trie.
   */
  match(topic: string, visit: (entry: E) => void): void {
    if (topic.charCodeAt(0) === 0x24) {
      // Neither wildcard matches a first level that begins with $ [MQTT-4.7.2-1].
      const end = topic.indexOf("/")
      const child = find(this.#root.children, end === -1 ? topic : topic.slice(0, end))
      if (child !== undefined) matchBelow(child, topic, end, visit)
      return
    }
    matchChildren(this.#root, topic, 0, visit)
  }
}

/** `start` is where the children's level begins in the topic. */
const matchChildren = <E extends Keyed>(
  parent: Node<E>,
  topic: string,
  start: number,
  visit: (entry: E) => void
): void => {
  if (parent.children === undefined) return
  const multi = find(parent.children, "#")
  if (multi !== undefined) visitAll(multi.entries, visit)
  const end = topic.indexOf("/", start)
  const single = find(parent.children, "+")
  if (single !== undefined) matchBelow(single, topic, end, visit)
  const level = end === -1 ? topic.slice(start) : topic.slice(start, end)
  // A level of a topic is never a wildcard, but a caller's bad topic must not make a node match twice.
  if (level === "+" || level === "#") return
  const exact = find(parent.children, level)
  if (exact !== undefined) matchBelow(exact, topic, end, visit)
}

/** `end` is where the node's own level ends in the topic; -1: it was the last one. */
const matchBelow = <E extends Keyed>(node: Node<E>, topic: string, end: number, visit: (entry: E) => void): void => {
  if (end !== -1) {
    matchChildren(node, topic, end + 1, visit)
    return
  }
  visitAll(node.entries, visit)
  const multi = find(node.children, "#")
  if (multi !== undefined) visitAll(multi.entries, visit)
}
