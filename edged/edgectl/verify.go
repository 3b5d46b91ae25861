package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/edged/edged/pkg/pack"
)

func (a *app) verify() *cobra.Command {
	var signature, trust string
	var keyFiles []string
	cmd := &cobra.Command{
		Use: "verify FILE...", Short: "Verify the signature of packages",
		Long: `Verify the signatures (minisign) of packages as edged does when it requires them, without
asking it: FILE` + signatureSuffix + ` beside FILE, or --signature, by a key of the folder of trusted keys or
of --key. Nothing is sent anywhere. Who signed, and the number of the package, go to stdout;
a package that is wrong or not signed is an error, exit code 1.`,
		Example: `  edgectl verify redisearch.zip
  edgectl verify --key release.pub *.tgz`,
		Args: func(_ *cobra.Command, files []string) error {
			if len(files) == 0 || slices.Contains(files, "") {
				return usageError{errors.New("which package? name a file")}
			}
			if signature != "" && len(files) != 1 {
				return usageError{fmt.Errorf("--signature is of one file, and here are %d", len(files))}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, files []string) error {
			keys, err := trustedKeys(trust, keyFiles)
			if err != nil {
				return err
			}
			return a.each(files, func(file string) error { return a.verifyOne(file, signature, keys) })
		},
	}
	cmd.Flags().StringVar(&signature, "signature", "", "`file` with the signature (default: FILE"+signatureSuffix+")")
	cmd.Flags().StringVar(&trust, "trust-dir", "/etc/edged/trust.d", "`folder` of trusted keys, *.pub")
	cmd.Flags().StringArrayVar(&keyFiles, "key", nil, "`file` with a public key, instead of the folder; may be given again")
	return cmd
}

func trustedKeys(folder string, files []string) ([]pack.Key, error) {
	if len(files) == 0 {
		keys, err := pack.ReadTrust(folder)
		if err == nil && len(keys) == 0 {
			err = fmt.Errorf("there is no trusted key in %s", folder)
		}
		return keys, err
	}
	var keys []pack.Key
	for _, file := range files {
		k, err := pack.ReadKey(file)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

func (a *app) verifyOne(file, signature string, keys []pack.Key) error {
	f, _, err := openUpload(file)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := readSignature(file, signature)
	if err != nil {
		return err
	}
	if text == nil {
		return fmt.Errorf("it is not signed: there is no %s", file+signatureSuffix)
	}
	signed, err := pack.Verify(f, text, keys)
	if err != nil {
		return err
	}
	number := "no number"
	if signed.Counted {
		number = fmt.Sprintf("number %d", signed.Counter)
	}
	_, err = fmt.Fprintf(a.out, "%s: signed by %s, %s (%s)\n", printable(file), signed.KeyID, number, printable(signed.Comment))
	return err
}
