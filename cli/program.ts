/** The command line, whole. */
import { Command } from 'commander';
import { approvalsCommand, decideCommand, keyCommand } from './commands/approvals.ts';
import { doctorCommand } from './commands/doctor.ts';
import { faucetCommand } from './commands/faucet.ts';
import { messageCommand } from './commands/message.ts';
import { partiesCommand } from './commands/parties.ts';
import { partyCommand } from './commands/party.ts';
import { payoutCommand } from './commands/payout.ts';
import { policyCommand } from './commands/policy.ts';
import { poolCommand } from './commands/pool.ts';
import { resetCommand, stopCommand } from './commands/stack.ts';
import {
  cancelCommand,
  transferCommand,
  transfersCommand,
  watchCommand,
} from './commands/transfer.ts';
import { walletCommand } from './commands/wallet.ts';
import { EXIT_CODE_HELP } from './exit-codes.ts';
import type { Io } from './io.ts';
import { startCommand } from './start/command.ts';
import { VERSION } from './version.ts';

const ENVIRONMENT = `Environment:
  KEYSAGA_CONFIG      a client configuration file; default: the local stack's
  KEYSAGA_DATA        the local stack's data folder; default: as temporal-dev.yaml says
  KEYSAGA_PASSPHRASE  of the approver's or administrator's key file
  TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_TLS…  as for Temporal's own CLI
  NO_COLOR            no colours;  KEYSAGA_DEBUG=1  stack traces`;

/** Throws `CommanderError` for wrong usage and `KeysagaError` for what commands find. */
export function buildProgram(io: Io): Command {
  const program = new Command('keysaga')
    .description('Threshold wallets whose key generations and transfers are durable sagas')
    .version(VERSION)
    .addHelpText('after', `\n${ENVIRONMENT}\n\n${EXIT_CODE_HELP}`);
  for (const command of [
    startCommand(io),
    stopCommand(io),
    resetCommand(io),
    walletCommand(io),
    faucetCommand(io),
    transferCommand(io),
    transfersCommand(io),
    payoutCommand(io),
    messageCommand(io),
    approvalsCommand(io),
    decideCommand(io, 'approve'),
    decideCommand(io, 'reject'),
    watchCommand(io),
    cancelCommand(io),
    partiesCommand(io),
    partyCommand(io),
    policyCommand(io),
    poolCommand(io),
    doctorCommand(io),
    keyCommand(io, 'approver'),
    keyCommand(io, 'administrator'),
  ])
    program.addCommand(command);
  const configure = (command: Command): void => {
    command.exitOverride().configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'error InvalidInput: ')),
    });
    command.commands.forEach(configure);
  };
  configure(program);
  return program;
}
