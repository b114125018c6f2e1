import Button from '@cloudscape-design/components/button';
import { useState } from 'react';

import { type Field, FormDialog } from './FormDialog';

/** A button that opens a form in a dialog and submits its values. */
export function DialogButton({
  text,
  label,
  button,
  fields,
  act,
  disabled = false,
  primary = false,
}: {
  readonly text: string;
  /** The accessible name, if the text does not say which object is meant. */
  readonly label?: string;
  readonly button: string;
  readonly fields: readonly Field[];
  readonly act: (values: Readonly<Record<string, string>>) => Promise<unknown>;
  readonly disabled?: boolean;
  readonly primary?: boolean;
}) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button
        variant={primary ? 'primary' : 'normal'}
        disabled={disabled}
        {...(label === undefined ? {} : { ariaLabel: label })}
        onClick={() => setOpen(true)}
      >
        {text}
      </Button>
      {open && (
        <FormDialog
          title={label ?? text}
          button={button}
          fields={fields}
          act={act}
          close={() => setOpen(false)}
        />
      )}
    </>
  );
}
