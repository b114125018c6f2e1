import Alert from '@cloudscape-design/components/alert';
import Button from '@cloudscape-design/components/button';
import { Component, type ReactNode } from 'react';

import { t } from '../strings';

interface Props {
  readonly children: ReactNode;
}

interface Failed {
  readonly error: Error | null;
}

/** Shows what is wrong if a page breaks or cannot be loaded; the other pages stay usable. */
export class PageBoundary extends Component<Props, Failed> {
  override state: Failed = { error: null };

  static getDerivedStateFromError(error: Error): Failed {
    return { error };
  }

  override render(): ReactNode {
    const { error } = this.state;
    if (error === null) return this.props.children;
    const notLoaded = /dynamically imported module|module script/i.test(error.message);
    return (
      <Alert
        type="error"
        header={notLoaded ? t.errors.notLoaded : t.errors.broken}
        action={<Button onClick={() => location.reload()}>{t.reload}</Button>}
      >
        {notLoaded ? t.errors.notLoadedWhy : error.message}
      </Alert>
    );
  }
}
