import Button from '@cloudscape-design/components/button';
import { useState } from 'react';

import { type Field, FormDialog } from './FormDialog';

/** A button that asks for some values in a dialog and does something with them. */
export function Ask({
  text,
  label,
  button,
  fields,
  act,
  disabled = false,
  primary = false,
}: {
  readonly text: string;
  /** What the button does, where its text alone does not say to what. */
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
