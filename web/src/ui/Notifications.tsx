import Button from '@cloudscape-design/components/button';
import Flashbar, { type FlashbarProps } from '@cloudscape-design/components/flashbar';
import {
  createContext,
  type ReactNode,
  useCallback,
  useContext,
  useMemo,
  useRef,
  useState,
} from 'react';

import { t } from '../strings';
import { ErrorDetails } from './ErrorAlert';

const LASTS = 8_000; // milliseconds that good news stay

export interface Notice {
  readonly type: 'success' | 'info' | 'warning' | 'error' | 'in-progress';
  readonly header: string;
  readonly content?: ReactNode;
  readonly action?: { readonly text: string; readonly run: () => void };
}

export interface Notify {
  readonly notify: (notice: Notice) => void;
  /** Show an error; `doing` says what was tried. */
  readonly failed: (doing: string, error: Error) => void;
}

const NotifyContext = createContext<Notify | null>(null);
const NoticesContext = createContext<readonly FlashbarProps.MessageDefinition[]>([]);

/** Says what has happened. */
export function useNotify(): Notify {
  const notifier = useContext(NotifyContext);
  if (notifier === null) throw new Error('outside of <Notifications>');
  return notifier;
}

/** Keeps what is told until it was read. */
export function Notifications({ children }: { readonly children: ReactNode }) {
  const [items, setItems] = useState<readonly FlashbarProps.MessageDefinition[]>([]);
  const number = useRef(0);
  const notify = useCallback((notice: Notice) => {
    number.current += 1;
    const id = `notice-${number.current}`;
    const dismiss = () => setItems((all) => all.filter((it) => it.id !== id));
    const { action } = notice;
    const run = () => {
      dismiss();
      action?.run();
    };
    const item: FlashbarProps.MessageDefinition = {
      id,
      type: notice.type,
      header: notice.header,
      content: notice.content,
      dismissible: true,
      dismissLabel: t.dismiss,
      onDismiss: dismiss,
      action: action === undefined ? undefined : <Button onClick={run}>{action.text}</Button>,
    };
    setItems((all) => [item, ...all].slice(0, 20));
    if (notice.type === 'success' || notice.type === 'info') setTimeout(dismiss, LASTS);
  }, []);
  const failed = useCallback(
    (doing: string, error: Error) =>
      notify({
        type: 'error',
        header: `${doing}: ${error.message}`,
        content: <ErrorDetails error={error} />,
      }),
    [notify],
  );
  const notifier = useMemo(() => ({ notify, failed }), [notify, failed]);
  return (
    <NotifyContext value={notifier}>
      <NoticesContext value={items}>{children}</NoticesContext>
    </NotifyContext>
  );
}

/** Where notices are shown. */
export function NoticeBar() {
  return <Flashbar items={useContext(NoticesContext)} stackItems />;
}
