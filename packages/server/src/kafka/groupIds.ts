import { defaultGroupSettings } from "@logbrook/actors/group/GroupProtocol"
import { KafkaError, type KafkaErrorCode } from "@logbrook/protocols/kafka/ErrorCodes"

/** Of what the group actor itself refuses in a join: its id must not make an actor for nothing. */
export const groupIdError = (groupId: string): KafkaErrorCode =>
  groupId === "" || groupId.length > defaultGroupSettings.nameLengthMax ? KafkaError.INVALID_GROUP_ID : KafkaError.NONE
