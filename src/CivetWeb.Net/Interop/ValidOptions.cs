using System;
using System.Collections.Generic;

namespace CivetWeb.Net.Interop;

/// <summary>The options this build of CivetWeb knows, with their kinds.</summary>
internal static unsafe class ValidOptions
{
    // Never changed once read.
    private static readonly Lazy<Dictionary<string, mg_config_type>> Options = new(Read);

    /// <summary>Whether CivetWeb knows the option, and of what kind it is.</summary>
    public static bool TryGetKind(string name, out OptionKind kind)
    {
        if (!Options.Value.TryGetValue(name, out mg_config_type type))
        {
            kind = OptionKind.Text;
            return false;
        }

        kind = type switch
        {
            mg_config_type.NUMBER => OptionKind.Number,
            mg_config_type.BOOLEAN => OptionKind.YesOrNo,
            mg_config_type.YES_NO_OPTIONAL => OptionKind.YesNoOrOptional,
            mg_config_type.FILE => OptionKind.File,
            mg_config_type.DIRECTORY => OptionKind.Directory,
            _ => OptionKind.Text,
        };
        return true;
    }

    private static Dictionary<string, mg_config_type> Read()
    {
        var result = new Dictionary<string, mg_config_type>();
        for (mg_option* option = NativeMethods.mg_get_valid_options(); option->name != null; option++)
        {
            result.Add(NativeText.FromPointer(option->name)!, option->type);
        }

        return result;
    }
}

/// <summary>What a CivetWeb option's value has to look like.</summary>
internal enum OptionKind
{
    Text,
    Number,
    YesOrNo,
    YesNoOrOptional,
    File,
    Directory,
}
