import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Modal from '@cloudscape-design/components/modal';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { type ReactNode, useEffect, useId, useRef, useState } from 'react';

import { t } from '../strings';
import { ErrorAlert } from './ErrorAlert';

/** A dialog that does one thing; it stays open, with the reason, where that is refused. */
export function Dialog({
  title,
  button,
  act,
  close,
  ready = true,
  children,
}: {
  readonly title: string;
  readonly button: string;
  readonly act: () => Promise<unknown>;
  readonly close: () => void;
  readonly ready?: boolean;
  readonly children: ReactNode;
}) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const form = useRef<HTMLFormElement>(null);
  const id = useId();
  useEffect(() => {
    // After the dialog, which gives the focus to its first button.
    const soon = requestAnimationFrame(() =>
      form.current?.querySelector<HTMLElement>('input:not([type=checkbox])')?.focus(),
    );
    return () => cancelAnimationFrame(soon);
  }, []);
  const go = async () => {
    if (!ready || busy) return;
    setBusy(true);
    setError(null);
    try {
      await act();
      close();
    } catch (problem) {
      setError(problem as Error);
      setBusy(false);
    }
  };
  return (
    <Modal
      visible
      header={title}
      closeAriaLabel={t.close}
      onDismiss={close}
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button variant="link" onClick={close}>
              {t.cancel}
            </Button>
            <Button
              variant="primary"
              form={id}
              formAction="submit"
              loading={busy}
              disabled={!ready}
            >
              {button}
            </Button>
          </SpaceBetween>
        </Box>
      }
    >
      <form
        ref={form}
        id={id}
        onSubmit={(event) => {
          event.preventDefault();
          void go();
        }}
      >
        <SpaceBetween size="m">
          {children}
          {error !== null && <ErrorAlert error={error} />}
        </SpaceBetween>
      </form>
    </Modal>
  );
}
