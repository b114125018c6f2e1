import '@xterm/xterm/css/xterm.css';

import Alert from '@cloudscape-design/components/alert';
import Button from '@cloudscape-design/components/button';
import { FitAddon } from '@xterm/addon-fit';
import { Terminal } from '@xterm/xterm';
import { useEffect, useRef, useState } from 'react';

import { isRecord } from '../api/errors';
import { allowSpanStyles, terminalDocument, withDocument } from '../lib/terminalDocument';
import { t } from '../strings';

allowSpanStyles();

/** A shell in a workspace. */
export default function TerminalScreen({ name }: { readonly name: string }) {
  const box = useRef<HTMLDivElement>(null);
  const [ended, setEnded] = useState<string | null>(null);
  const [round, setRound] = useState(0);
  useEffect(() => {
    if (box.current === null) return;
    const close = begin(box.current, name, setEnded);
    return close;
  }, [name, round]);
  const again = () => {
    setEnded(null);
    setRound((count) => count + 1);
  };
  return (
    <>
      {ended !== null && (
        <Alert type="info" action={<Button onClick={again}>{t.terminal.again}</Button>}>
          {ended}
        </Alert>
      )}
      <div ref={box} className="shell" role="group" aria-label={t.terminal.of(name)} />
    </>
  );
}

/** Connect a terminal to a shell; what ends both. */
function begin(box: HTMLElement, name: string, ended: (why: string) => void): () => void {
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
  const at = `${location.origin.replace(/^http/, 'ws')}/ssh-proxy/${encodeURIComponent(name)}`;
  const socket = new WebSocket(`${at}?cols=${terminal.cols}&rows=${terminal.rows}`);
  socket.binaryType = 'arraybuffer';
  let said: string = t.terminal.lost;
  const encoder = new TextEncoder();
  const send = (data: string | Uint8Array<ArrayBuffer>) => {
    if (socket.readyState === WebSocket.OPEN) socket.send(data);
  };
  terminal.onData((text) => send(encoder.encode(text)));
  terminal.onBinary((text) => send(Uint8Array.from(text, (it) => it.charCodeAt(0))));
  terminal.onResize(({ cols, rows }) => send(JSON.stringify({ type: 'resize', cols, rows })));
  socket.onopen = () => terminal.focus();
  socket.onmessage = ({ data }) => {
    if (data instanceof ArrayBuffer) terminal.write(new Uint8Array(data));
    else if (typeof data === 'string') said = farewell(data);
  };
  socket.onclose = () => ended(said);
  const observer = new ResizeObserver(() => fit.fit());
  observer.observe(box);
  return () => {
    observer.disconnect();
    socket.onclose = null;
    socket.close();
    terminal.dispose();
  };
}

/** What a text frame of the daemon says: that the shell has ended, and how. */
function farewell(text: string): string {
  const said: unknown = JSON.parse(text);
  const code = isRecord(said) ? said['status'] : undefined;
  return typeof code === 'number' ? t.terminal.exited(code) : t.terminal.lost;
}
