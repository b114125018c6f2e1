import '@xterm/xterm/css/xterm.css';

import Alert from '@cloudscape-design/components/alert';
import ContentLayout from '@cloudscape-design/components/content-layout';
import Header from '@cloudscape-design/components/header';
import { Terminal } from '@xterm/xterm';
import { useEffect, useRef, useState } from 'react';
import { useParams } from 'react-router';

import { isRecord } from '../../api/errors';
import { t } from '../../strings';
import { allowSpanStyles, terminalDocument, withDocument } from '../terminal/terminalDocument';

allowSpanStyles();

type Phase = 'waiting' | 'watching' | 'ended';

/** What the terminal of somebody else shows; nothing is typed here, and the daemon takes nothing. */
export default function SharedTerminal() {
  const { id = '' } = useParams();
  const box = useRef<HTMLDivElement>(null);
  const [phase, setPhase] = useState<Phase>('waiting');
  useEffect(() => {
    if (box.current === null) return;
    return watch(box.current, id, setPhase);
  }, [id]);
  return (
    <ContentLayout header={<Header variant="h1">{t.sharing.terminal}</Header>}>
      <Alert type={phase === 'ended' ? 'warning' : 'info'}>{t.sharing.phases[phase]}</Alert>
      <div ref={box} className="shell watched" role="group" aria-label={t.sharing.terminal} />
    </ContentLayout>
  );
}

/** Show a shared terminal; returns what ends it. */
function watch(box: HTMLElement, id: string, tell: (phase: Phase) => void): () => void {
  const ours = terminalDocument();
  const terminal = new Terminal({
    documentOverride: ours,
    screenReaderMode: true,
    disableStdin: true,
    cursorBlink: false,
    fontSize: 13,
    scrollback: 5000,
    theme: { background: '#0f141a', foreground: '#ebebf0' },
  });
  withDocument(ours, () => terminal.open(box));
  const origin = location.origin.replace(/^http/, 'ws');
  const socket = new WebSocket(`${origin}/api/v1/shares/${encodeURIComponent(id)}/terminal`);
  socket.binaryType = 'arraybuffer';
  socket.onmessage = ({ data }) => {
    if (data instanceof ArrayBuffer) terminal.write(new Uint8Array(data));
    else if (typeof data === 'string') follow(JSON.parse(data), terminal, tell);
  };
  socket.onclose = () => tell('ended');
  return () => {
    socket.onclose = null;
    socket.close();
    terminal.dispose();
  };
}

function follow(message: unknown, terminal: Terminal, tell: (phase: Phase) => void): void {
  if (!isRecord(message)) return;
  if (message['type'] === 'resize') {
    terminal.resize(Number(message['cols']), Number(message['rows']));
  } else if (message['type'] === 'watching') {
    terminal.reset();
    tell('watching');
  } else if (message['type'] === 'waiting') {
    tell('waiting');
  }
}
