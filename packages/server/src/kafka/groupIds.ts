import { defaultGroupSettings } from "@logbrook/actors/group/GroupProtocol"
import { KafkaError, type KafkaErrorCode } from "@logbrook/protocols/kafka/ErrorCodes"

/** Of a group with members, which the group actor refuses in a join as well: its id must not make an actor for nothing. */
export const memberGroupIdError = (groupId: string): KafkaErrorCode =>
  groupId === "" ? KafkaError.INVALID_GROUP_ID : groupIdError(groupId)

/** Of a group with offsets: simple consumers may leave its id empty, as Kafka has allowed since before there were groups. */
export const groupIdError = (groupId: string): KafkaErrorCode =>
  groupId.length > defaultGroupSettings.nameLengthMax ? KafkaError.INVALID_GROUP_ID : KafkaError.NONE

/** What is kept of a client id, of up to 32,767 characters: enough to recognise it. */
export const keptClientId = (clientId: string): string => clientId.slice(0, defaultGroupSettings.nameLengthMax)
