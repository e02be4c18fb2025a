import { parseTopicFilter } from "./TopicFilter.ts"

/** A map of one entry takes some 190 bytes, and most nodes have one child, or one entry: it is held without a map. */
interface Node<V> {
  readonly parent: Node<V> | undefined
  /** The level that leads here from the parent. */
  readonly level: string
  /** The one child, or all of them by level; both wildcards are children like any other. */
  children: Node<V> | Map<string, Node<V>> | undefined
  /** The one entry, or the values of all by key. */
  entries: Entry<V> | Map<string, V> | undefined
}

interface Entry<V> {
  readonly key: string
  readonly value: V
}

const makeNode = <V>(parent: Node<V> | undefined, level: string): Node<V> => ({
  parent,
  level,
  children: undefined,
  entries: undefined
})

const isEmpty = <V>(node: Node<V>): boolean => node.children === undefined && node.entries === undefined

const childOf = <V>({ children }: Node<V>, level: string): Node<V> | undefined => {
  if (children instanceof Map) return children.get(level)
  return children?.level === level ? children : undefined
}

const addChild = <V>(parent: Node<V>, level: string): Node<V> => {
  const { children } = parent
  const child = makeNode(parent, level)
  if (children === undefined) parent.children = child
  else if (children instanceof Map) children.set(level, child)
  else {
    parent.children = new Map([
      [children.level, children],
      [level, child]
    ])
  }
  return child
}

/** The child is there. */
const removeChild = <V>(parent: Node<V>, { level }: Node<V>): void => {
  const { children } = parent
  if (!(children instanceof Map)) {
    parent.children = undefined
    return
  }
  children.delete(level)
  if (children.size === 1) [parent.children] = children.values()
}

/** False: there was one of this key, and its value is replaced. */
const addEntry = <V>(node: Node<V>, key: string, value: V): boolean => {
  const { entries } = node
  if (entries instanceof Map) {
    const isNew = !entries.has(key)
    entries.set(key, value)
    return isNew
  }
  if (entries === undefined || entries.key === key) {
    node.entries = { key, value }
    return entries === undefined
  }
  node.entries = new Map([
    [entries.key, entries.value],
    [key, value]
  ])
  return true
}

/** False: there is none of this key. */
const removeEntry = <V>(node: Node<V>, key: string): boolean => {
  const { entries } = node
  if (!(entries instanceof Map)) {
    if (entries?.key !== key) return false
    node.entries = undefined
    return true
  }
  if (!entries.delete(key)) return false
  if (entries.size === 1) for (const [key, value] of entries) node.entries = { key, value }
  return true
}

const unlimited = { topicBytesMax: Infinity, topicLevelsMax: Infinity }

/**
 * Topic filters by level, for finding all that match a topic. An entry is a (filter, key) pair with a value; a key is
 * whatever tells the filter's holders apart (a session, a stream).
 *
 * Each node has one path to it, so a match visits every node at most once: its cost is bounded by the filters held, and
 * for filters without wildcards by the topic's levels.
 */
export class TopicTrie<V> {
  readonly #root: Node<V> = makeNode<V>(undefined, "")
  #size = 0

  /** The (filter, key) pairs held. */
  get size(): number {
    return this.#size
  }

  /** Adds an entry, or replaces the value of (filter, key). Throws `InvalidTopicFilter`; how long it may be is checked where it comes in. */
  add(filter: string, key: string, value: V): void {
    let node = this.#root
    for (const level of parseTopicFilter(filter, unlimited)) node = childOf(node, level) ?? addChild(node, level)
    if (addEntry(node, key, value)) this.#size++
  }

  /** Removes (filter, key) and the nodes that held nothing else; tells whether it was there. */
  remove(filter: string, key: string): boolean {
    let node: Node<V> | undefined = this.#root
    for (const level of filter.split("/")) {
      node = childOf(node, level)
      if (node === undefined) return false
    }
    if (!removeEntry(node, key)) return false
    this.#size--
    while (node.parent !== undefined && isEmpty(node)) {
      const parent: Node<V> = node.parent
      removeChild(parent, node)
      node = parent
    }
    return true
  }

  /**
   * Visits the entries of every filter that matches the topic, in no promised order: a key with several matching filters
   * is visited once for each. The visitor must not change the trie.
   */
  match(topic: string, visit: (value: V, key: string) => void): void {
    if (topic.charCodeAt(0) === 0x24) {
      // Neither wildcard matches a first level that begins with $ [MQTT-4.7.2-1].
      const end = topic.indexOf("/")
      const child = childOf(this.#root, end === -1 ? topic : topic.slice(0, end))
      if (child !== undefined) matchBelow(child, topic, end, visit)
      return
    }
    matchChildren(this.#root, topic, 0, visit)
  }
}

const visitEntries = <V>({ entries }: Node<V>, visit: (value: V, key: string) => void): void => {
  if (entries instanceof Map) for (const [key, value] of entries) visit(value, key)
  else if (entries !== undefined) visit(entries.value, entries.key)
}

/** `start` is where the children's level begins in the topic. */
const matchChildren = <V>(
  parent: Node<V>,
  topic: string,
  start: number,
  visit: (value: V, key: string) => void
): void => {
  if (parent.children === undefined) return
  const multi = childOf(parent, "#")
  if (multi !== undefined) visitEntries(multi, visit)
  const end = topic.indexOf("/", start)
  const single = childOf(parent, "+")
  if (single !== undefined) matchBelow(single, topic, end, visit)
  const level = end === -1 ? topic.slice(start) : topic.slice(start, end)
  // A level of a topic is never a wildcard, but a caller's bad topic must not make a node match twice.
  if (level === "+" || level === "#") return
  const exact = childOf(parent, level)
  if (exact !== undefined) matchBelow(exact, topic, end, visit)
}

/** `end` is where the node's own level ends in the topic; -1: it was the last one. */
const matchBelow = <V>(node: Node<V>, topic: string, end: number, visit: (value: V, key: string) => void): void => {
  if (end !== -1) {
    matchChildren(node, topic, end + 1, visit)
    return
  }
  visitEntries(node, visit)
  const multi = childOf(node, "#")
  if (multi !== undefined) visitEntries(multi, visit)
}
