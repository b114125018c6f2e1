import '@xterm/xterm/css/xterm.css';

import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import { FitAddon } from '@xterm/addon-fit';
import { Terminal } from '@xterm/xterm';
import { useEffect, useRef, useState } from 'react';

import type { Instance } from '../../api/client';
import { sessionOf, ShellConnection } from './shellConnection';
import { allowSpanStyles, terminalDocument, withDocument } from './terminalDocument';
import { useLiveness } from '../../live/LiveProvider';
import { t } from '../../strings';

allowSpanStyles();

/** What is said above the terminal; `over` where only a new shell helps. */
interface Notice {
  readonly text: string;
  readonly over: boolean;
}

/** A shell in a workspace, which survives a reload of the page and a break of the connection. */
export default function TerminalScreen({ instance }: { readonly instance: Instance }) {
  const { name, workspace } = instance;
  const box = useRef<HTMLDivElement>(null);
  const shell = useRef<ShellConnection | null>(null);
  const [notice, setNotice] = useState<Notice | null>(null);
  const [round, setRound] = useState(0);
  const liveness = useLiveness();
  useEffect(() => {
    if (box.current === null) return;
    const { connection, close } = openTerminal(box.current, workspace, setNotice);
    shell.current = connection;
    return close;
  }, [workspace, round]);
  useEffect(() => {
    if (liveness === 'live') shell.current?.wake();
  }, [liveness]);
  const again = () => {
    sessionOf(workspace, true);
    setNotice(null);
    setRound((count) => count + 1);
  };
  return (
    <>
      {notice !== null && (
        <Alert
          type={notice.over ? 'info' : 'warning'}
          action={notice.over ? <Button onClick={again}>{t.terminal.again}</Button> : undefined}
        >
          {notice.text}
        </Alert>
      )}
      <div ref={box} className="shell" role="group" aria-label={t.terminal.of(name)} />
      <Box variant="small">{t.terminal.leave}</Box>
    </>
  );
}

/** Connect a terminal to a shell; what ends both. */
function openTerminal(
  box: HTMLElement,
  workspace: string,
  tell: (notice: Notice | null) => void,
): { readonly connection: ShellConnection; readonly close: () => void } {
  const { terminal, fit } = screenIn(box);
  const at = `${location.origin.replace(/^http/, 'ws')}/ssh-proxy/${encodeURIComponent(workspace)}`;
  let replaying = 0; // bytes of an older screen; what the terminal answers to them is not typed
  let connected = false;
  const connection = new ShellConnection(at, sessionOf(workspace), {
    attached: (resumed, replay) => {
      if (connected) terminal.reset();
      if (connected && !resumed) terminal.write(`${t.terminal.fresh}\r\n`);
      connected = true;
      replaying = replay;
      tell(null);
      terminal.focus();
    },
    shown: (data) => {
      terminal.write(data, () => {
        replaying = Math.max(0, replaying - data.length);
      });
    },
    lost: () => tell({ text: t.terminal.reconnecting, over: false }),
    ended: (how) => tell({ text: endText(how), over: true }),
    size: () => ({ cols: terminal.cols, rows: terminal.rows }),
  });
  const encoder = new TextEncoder();
  const type = (data: Uint8Array<ArrayBuffer>) => {
    if (replaying === 0) connection.send(data);
  };
  terminal.onData((text) => type(encoder.encode(text)));
  terminal.onBinary((text) => type(Uint8Array.from(text, (it) => it.charCodeAt(0))));
  terminal.onResize(({ cols, rows }) =>
    connection.send(JSON.stringify({ type: 'resize', cols, rows })),
  );
  const observer = new ResizeObserver(() => fit.fit());
  observer.observe(box);
  const close = () => {
    observer.disconnect();
    connection.close();
    terminal.dispose();
  };
  return { connection, close };
}

function screenIn(box: HTMLElement): { readonly terminal: Terminal; readonly fit: FitAddon } {
  const ours = terminalDocument();
  const terminal = new Terminal({
    documentOverride: ours,
    screenReaderMode: true,
    cursorBlink: false,
    fontSize: 13,
    scrollback: 5000,
    theme: { background: '#0f141a', foreground: '#ebebf0' },
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  withDocument(ours, () => terminal.open(box));
  fit.fit();
  // Tab belongs to the shell, so another key has to lead out of it.
  terminal.attachCustomKeyEventHandler((event) => {
    if (event.key !== 'F6' || !event.shiftKey) return true;
    terminal.blur();
    return false;
  });
  return { terminal, fit };
}

function endText(how: number | 'replaced' | 'unreachable'): string {
  if (how === 'replaced') return t.terminal.replaced;
  return how === 'unreachable' ? t.terminal.lost : t.terminal.exited(how);
}
