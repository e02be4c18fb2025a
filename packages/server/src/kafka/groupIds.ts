import { defaultGroupSettings } from "@logbrook/actors/group/GroupProtocol"
import { KafkaError, type KafkaErrorCode } from "@logbrook/protocols/kafka/ErrorCodes"

/**
 * Checks the id of a group with members, or with offsets of transactions. The group actor refuses it in a join as well, but it must not make
 * an actor for nothing.
 */
export const memberGroupIdError = (groupId: string): KafkaErrorCode =>
  groupId === "" ? KafkaError.INVALID_GROUP_ID : groupIdError(groupId)

/** Checks the id of a group with offsets: simple consumers may leave it empty, as Kafka has allowed since before there were groups. */
export const groupIdError = (groupId: string): KafkaErrorCode =>
  groupId.length > defaultGroupSettings.nameLengthMax ? KafkaError.INVALID_GROUP_ID : KafkaError.NONE

/** The part of a client id that is kept: enough to recognise it, of up to 32,767 characters. */
export const keptClientId = (clientId: string): string => clientId.slice(0, defaultGroupSettings.nameLengthMax)
