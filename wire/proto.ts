/**
 * Protobuf messages of the Temporal API that `wire` encodes itself. `@temporalio/proto` is CommonJS whose exports
 * Node cannot see by name, so it is imported whole.
 */
import proto from '@temporalio/proto';

export const PayloadMessage = proto.temporal.api.common.v1.Payload;
export const PayloadsMessage = proto.temporal.api.common.v1.Payloads;
